"""What is pruned is the smallest, stays zero while the rest descends, and is resumed the same."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gdws.errors import GdwsError, ModelError
from gdws.networks import checkpoints
from gdws.networks.sources import Source
from gdws.training import Pruning, train
from gdws.training.pruning import prune
from support.toy import DATA, TRAINING, InterruptAt

SETTINGS = dataclasses.replace(TRAINING, epochs=2, iterations=1, validation_iterations=1, shift=0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1, bias=False))


@settings(max_examples=30, deadline=None)
@given(what=st.sampled_from(["filters", "weights"]), share=st.floats(0.01, 0.99))
def test_the_smallest_of_each_convolution_but_the_first_are_zero(what, share):
    dense, pruned = network(), network()
    prune(pruned, Pruning(what, share))
    assert torch.equal(dense[0].weight, pruned[0].weight)
    for before, after in ((dense[2], pruned[2]), (dense[4], pruned[4])):
        sizes = before.weight.flatten(1).norm(dim=1) if what == "filters" else before.weight.abs().flatten()
        zero = (after.weight.flatten(1) == 0).all(1) if what == "filters" else after.weight.flatten() == 0
        assert zero.sum() == min(round(share * len(zero)), len(zero) - 1)
        if zero.any():
            assert sizes[zero].max() <= sizes[~zero].min()
        assert torch.equal(after.weight[after.weight != 0], before.weight[after.weight != 0])


def test_a_filter_takes_its_bias_with_it():
    pruned = network()
    prune(pruned, Pruning("filters", 0.5))
    gone = (pruned[2].weight.flatten(1) == 0).all(1)
    assert gone.sum() == 4
    assert torch.equal(pruned[2].bias == 0, gone)


def test_zeros_are_set_again():
    pruned = network()
    hold = prune(pruned, Pruning("weights", 0.7))
    zero = pruned[2].weight == 0
    with torch.no_grad():
        pruned[2].weight.add_(1)
    hold(pruned)
    assert torch.equal(pruned[2].weight == 0, zero)


def dense_source(tmp_path) -> Source:
    trained = train(SETTINGS, DATA, tmp_path / "dense.safetensors")
    provenance = {"net": SETTINGS.net, "net_options": dict(SETTINGS.net_options)}
    return Source(SETTINGS.net, checkpoints.load(trained.path), (1, 28, 28), provenance)


@pytest.mark.parametrize("text", ["filters:0.5", "weights:0.9"])
def test_a_pruned_network_is_trained_and_its_zeros_stay(tmp_path, text):
    source = dense_source(tmp_path)
    settings = dataclasses.replace(SETTINGS, pruning=Pruning.parse(text), learning_rate=0.01)
    expected = copy.deepcopy(source.module)
    prune(expected, Pruning.parse(text))
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    train(settings, DATA, whole, source=source)
    trained = checkpoints.load(whole)
    moved = False
    for (name, before), (_, after) in zip(expected.named_modules(), trained.named_modules(), strict=True):
        if isinstance(before, nn.Conv2d):
            assert torch.equal(after.weight[before.weight == 0], before.weight[before.weight == 0]), name
            moved |= not torch.equal(after.weight, before.weight)
    assert moved
    with pytest.raises(KeyboardInterrupt):
        train(settings, DATA, broken, source=source, progress=InterruptAt(4))
    train(settings, DATA, broken, source=source, resume=True)
    assert broken.read_bytes() == whole.read_bytes()


def test_what_cannot_be_pruned_is_refused(tmp_path):
    with pytest.raises(GdwsError, match="fresh weights cannot be pruned"):
        train(dataclasses.replace(SETTINGS, pruning=Pruning("filters", 0.5)), DATA, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="no convolution to prune"):
        prune(nn.Sequential(nn.Conv2d(1, 2, 3)), Pruning("weights", 0.5))


@pytest.mark.parametrize("text", ["filters", "rows:0.5", "filters:1", "weights:0", "weights:-1", "filters:half", ""])
def test_a_way_to_prune_that_is_none_is_refused(text):
    with pytest.raises(GdwsError, match="is not a way to prune") as refused:
        Pruning.parse(text)
    assert "filters:0.5" in str(refused.value.hint)


@pytest.mark.parametrize("text", ["filters:0.25", "weights:0.99"])
def test_its_text_reads_back(text):
    assert str(Pruning.parse(text)) == text
