"""Fine-tuning in INT8 on a toy: it mends what conversion broke, never harms, and its file says what it is."""

from __future__ import annotations

import dataclasses

import onnx
import pytest
import torch
from torch import nn

from gdws.bundles.variant import GdwsStep, Variant
from gdws.errors import GdwsError, ModelError
from gdws.evaluation.evaluate import evaluate
from gdws.networks import quantised
from gdws.networks.sources import Source
from gdws.networks.zoo import build
from gdws.onnx_io.int8 import Int8Settings, QuantizedNetwork
from gdws.onnx_io.run import run as run_onnx
from gdws.pipeline import with_int8
from gdws.training import FinetuneSettings, finetune_int8, run, state_path
from gdws_contract.findings.intervals import proportion
from gdws_contract.plan import Plan
from support.toy import DATA, SMALL_NET, InterruptAt, toy

SHAPE = (1, 8, 8)
SETTINGS = FinetuneSettings(
    epochs=2, batch_size=8, eps=0.1, iterations=2, validation_iterations=3, learning_rate=0.01, shift=1, seed=5
)


@pytest.fixture(scope="module")
def integers(start: tuple[nn.Module, Plan]) -> Variant:
    """The toy network at mean rank 1 in INT8."""
    network, plan = start
    source = Source("toy", network, SHAPE, SMALL_NET)
    variant = Variant("tiny", network, (GdwsStep(plan),))
    return with_int8([variant], source, toy(16, 3).images, Int8Settings(scheme="asymmetric"))[1]


@pytest.fixture(scope="module")
def dense() -> Source:
    return Source("toy", build(SMALL_NET["net"], **SMALL_NET["net_options"]), SHAPE, SMALL_NET)


def test_it_raises_robust_accuracy_and_its_file_is_the_network(integers, dense, tmp_path):
    held_out, out = toy(64, 7), tmp_path / "tuned.onnx"
    settings = dataclasses.replace(SETTINGS, epochs=8)
    before = integers.module.content
    result = finetune_int8(integers, SHAPE, DATA, settings, provenance=SMALL_NET, out=out)
    lost, found = (
        evaluate(each, held_out.images, held_out.labels, settings.validation_attack).robust.value
        for each in (integers.module, result.network)
    )
    assert lost < 0.8
    assert found > 0.95
    assert result.improved
    assert integers.module.content == before
    loaded = quantised.load(out, dense=dense)
    assert loaded.name == "tuned"
    assert loaded.module.content == result.network.content
    assert loaded.plan == integers.plan
    assert loaded.method.endswith("INT8, fine-tuned")
    assert loaded.steps[-1].epochs == result.best.epoch
    theirs = torch.from_numpy(run_onnx(out.read_bytes(), [held_out.images.numpy()])[0])
    with torch.no_grad():
        mine = loaded.module(held_out.images)
    assert (mine.argmax(dim=1) == theirs.argmax(dim=1)).all()
    metadata = {each.key: each.value for each in onnx.load(out).metadata_props}
    assert '"epochs": 8' in metadata["finetuning"]


def test_the_start_is_kept_unless_an_epoch_is_better(integers, monkeypatch):
    real, shares = run.evaluate, iter([6, 6, 5])

    def scripted(*args: object, **kwargs: object) -> object:
        share = proportion(next(shares), 8)
        return dataclasses.replace(real(*args, **kwargs), natural=share, robust=share)

    monkeypatch.setattr(run, "evaluate", scripted)
    result = finetune_int8(integers, SHAPE, DATA, SETTINGS)
    assert not result.improved
    assert result.network.content == integers.module.content


def test_a_run_that_was_interrupted_goes_on_to_the_same_file(integers, tmp_path):
    whole, broken = tmp_path / "whole.onnx", tmp_path / "broken.onnx"
    finetune_int8(integers, SHAPE, DATA, SETTINGS, provenance=SMALL_NET, out=whole)
    with pytest.raises(KeyboardInterrupt):
        finetune_int8(integers, SHAPE, DATA, SETTINGS, provenance=SMALL_NET, out=broken, progress=InterruptAt(4))
    assert state_path(broken).exists()
    finetune_int8(integers, SHAPE, DATA, SETTINGS, provenance=SMALL_NET, out=broken, resume=True)
    assert broken.read_bytes() == whole.read_bytes()
    other = dataclasses.replace(integers, module=QuantizedNetwork(_without_name(integers.module.content), SHAPE))
    with pytest.raises(KeyboardInterrupt):
        finetune_int8(integers, SHAPE, DATA, SETTINGS, provenance=SMALL_NET, out=broken, progress=InterruptAt(4))
    with pytest.raises(GdwsError, match="network was"):
        finetune_int8(other, SHAPE, DATA, SETTINGS, provenance=SMALL_NET, out=broken, resume=True)


def test_a_network_in_floating_point_is_refused(start):
    with pytest.raises(ModelError, match="tiny is not in INT8"):
        finetune_int8(Variant("tiny", start[0]), SHAPE, DATA, SETTINGS)


def test_a_file_needs_the_provenance(integers, tmp_path):
    with pytest.raises(ValueError, match="provenance"):
        finetune_int8(integers, SHAPE, DATA, SETTINGS, out=tmp_path / "w.onnx")


def _without_name(content: bytes) -> bytes:
    """The same network in other bytes."""
    model = onnx.load_from_string(content)
    model.producer_name = ""
    return model.SerializeToString(deterministic=True)
