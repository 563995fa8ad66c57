"""Fine-tuning on a toy: it mends what conversion broke, never harms, and is repeatable and resumable."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn

from gdws.compression.layers import GDWSConv2d
from gdws.datasets import Dataset, Split
from gdws.errors import CheckpointMismatch, DataError, GdwsError, ModelError
from gdws.evaluation.evaluate import evaluate
from gdws.networks import checkpoints, converted
from gdws.training import FinetuneResult, FinetuneSettings, finetune, run, state_path
from gdws_contract.plan import Plan
from support.toy import DATA, SMALL_NET, InterruptAt, toy

PROVENANCE = SMALL_NET
SETTINGS = FinetuneSettings(
    epochs=3, batch_size=8, eps=0.1, iterations=2, validation_iterations=3, learning_rate=0.01, shift=1, seed=5
)

LONG = dataclasses.replace(SETTINGS, epochs=8)


@pytest.fixture(scope="module")
def tuned(start: tuple[nn.Module, Plan]) -> FinetuneResult:
    """What eight epochs make of it."""
    return finetune(start[0], DATA, LONG)


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one | other)


def test_it_raises_robust_accuracy_after_conversion(start):
    network, _ = start
    before = weights_of(network)
    held_out = toy(64, 7)
    attack = SETTINGS.validation_attack
    result = finetune(network, DATA, LONG)
    lost, found = (
        evaluate(each, held_out.images, held_out.labels, attack).robust.value for each in (network, result.network)
    )
    assert lost < 0.8
    assert found > 0.95
    assert result.improved
    assert result.best.robust > result.start.robust
    assert result.start.loss is None
    assert same(before, network.state_dict())  # the network given is not changed
    assert not result.network.training


def test_filters_end_with_norm_one(tuned):
    assert tuned.improved
    for layer in tuned.network.modules():
        if isinstance(layer, GDWSConv2d):
            for filters in layer.depthwise_convolutions():
                norms = filters.weight.flatten(1).norm(dim=1)
                torch.testing.assert_close(norms, torch.ones_like(norms))


def test_the_start_is_kept_unless_an_epoch_is_better(start, monkeypatch):
    """A run that only harms gives back the network it was given, balanced."""
    network, _ = start
    harmful = dataclasses.replace(SETTINGS, learning_rate=1.0, optimizer="sgd")
    from gdws_contract.findings.intervals import proportion

    real, shares = run.evaluate, iter([6, 6, 5, 6])

    def scripted(*args: object, **kwargs: object) -> object:
        share = proportion(next(shares), 8)
        return dataclasses.replace(real(*args, **kwargs), natural=share, robust=share)

    monkeypatch.setattr(run, "evaluate", scripted)
    result = finetune(network, DATA, harmful)
    assert not result.improved
    assert result.best == result.start
    x = DATA.validation.images
    with torch.no_grad():
        torch.testing.assert_close(result.network(x), network(x), rtol=1e-4, atol=1e-4)


def test_a_run_is_repeatable_by_its_seed(start):
    once, again, other = (
        finetune(start[0], DATA, settings) for settings in (SETTINGS, SETTINGS, dataclasses.replace(SETTINGS, seed=6))
    )
    assert same(once.network.state_dict(), again.network.state_dict())
    assert once.history == again.history
    assert other.history != once.history


@pytest.mark.parametrize("step", [4, 7])  # in the second epoch, in the third
def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(start, tmp_path, step):
    network, plan = start
    common = {"plan": plan, "provenance": PROVENANCE}
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    unbroken = finetune(network, DATA, SETTINGS, out=whole, **common)
    with pytest.raises(KeyboardInterrupt):
        finetune(network, DATA, SETTINGS, out=broken, progress=InterruptAt(step), **common)
    assert state_path(broken).exists()
    with pytest.raises(GdwsError, match="unfinished run"):
        finetune(network, DATA, SETTINGS, out=broken, **common)
    resumed = finetune(network, DATA, SETTINGS, out=broken, resume=True, **common)
    assert broken.read_bytes() == whole.read_bytes()
    assert resumed.history == unbroken.history
    assert resumed.start == unbroken.start
    assert not state_path(broken).exists()


def test_the_state_of_another_network_is_not_resumed(start, tmp_path):
    network, plan = start
    out = tmp_path / "w.safetensors"
    common = {"plan": plan, "provenance": PROVENANCE, "out": out}
    with pytest.raises(KeyboardInterrupt):
        finetune(network, DATA, SETTINGS, progress=InterruptAt(4), **common)
    elsewhere = finetune(network, DATA, dataclasses.replace(SETTINGS, epochs=1)).network
    with pytest.raises(GdwsError, match="network was"):
        finetune(elsewhere, DATA, SETTINGS, resume=True, **common)


def test_what_is_written_is_the_network(start, tmp_path):
    network, plan = start
    out = tmp_path / "tuned.safetensors"
    result = finetune(network, DATA, SETTINGS, plan=plan, provenance=PROVENANCE, out=out, command="gdws finetune x")
    found = converted.load(out)
    assert found.plan == plan
    x = DATA.validation.images
    with torch.no_grad():
        assert torch.equal(found.module(x), result.network(x))
    assert found.metadata["command"] == "gdws finetune x"
    assert json.loads(found.metadata["start"])["epoch"] == 0
    assert json.loads(found.metadata["validation"])["robust"] == result.best.robust
    with pytest.raises(CheckpointMismatch):
        checkpoints.load(out)  # it is no dense network


def test_statistics_may_be_fixed(start, tuned):
    network, _ = start
    fixed = finetune(network, DATA, dataclasses.replace(LONG, batch_norm="fixed"))
    assert fixed.improved
    mean = "layer1.0.bn1.running_mean"
    assert torch.equal(fixed.network.state_dict()[mean], network.state_dict()[mean])
    assert not torch.equal(tuned.network.state_dict()[mean], network.state_dict()[mean])


def test_frozen_weights_are_tuned_all_the_same(start):
    network, _ = start
    network.requires_grad_(False)
    try:
        assert finetune(network, DATA, LONG).improved
        assert not any(parameter.requires_grad for parameter in network.parameters())
    finally:
        network.requires_grad_(True)


def test_a_dense_network_is_refused(start):
    with pytest.raises(ModelError, match="no GDWS layer"):
        finetune(nn.Conv2d(1, 2, 3), DATA, SETTINGS)


def test_images_out_of_range_are_refused(start):
    bad = Dataset("bad", 2, Split(2 * DATA.train.images, DATA.train.labels), DATA.validation, DATA.test)
    with pytest.raises(DataError, match="pixels range"):
        finetune(start[0], bad, SETTINGS)


def test_a_file_needs_the_plan(start, tmp_path):
    with pytest.raises(ValueError, match="plan"):
        finetune(start[0], DATA, SETTINGS, out=tmp_path / "w.safetensors")
