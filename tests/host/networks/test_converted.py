"""GDWS networks come back from files as they went in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import gdws
from gdws import pipeline
from gdws.bundles.variant import GdwsStep, Variant
from gdws.compression.layers import GDWSConv2d
from gdws.errors import CheckpointMismatch, CheckpointUnreadable, GdwsError, NonFiniteWeights
from gdws.networks import checkpoints, converted
from gdws.networks import zoo as nets
from gdws.planning.budget import MeanRank
from gdws_contract.steps import FineTuneStep
from support.tiny import tiny_checkpoint
from support.toy import toy

NET, OPTIONS = "mnist-preact-resnet", {"width": 4}
PROVENANCE = {"net": NET, "net_options": OPTIONS, "checkpoint_sha256": "ab"}
IMAGES = torch.rand(40, 1, 12, 12, generator=torch.Generator().manual_seed(0))
CONVERSIONS = {
    "stacked": {"mean_rank": 2, "layout": "stacked"},
    "grouped": {"mean_rank": 2, "layout": "grouped"},
    "gather": {"mean_rank": 1.5},
    "dead-channels": {"gamma": 3},
    "no-component": {"gamma": 0},
    "with-biases": {"mean_rank": 1, "data": IMAGES},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Source:
    return pipeline.load(str(tiny_checkpoint(tmp_path_factory.mktemp("tiny"))))


def altered(module: torch.nn.Module) -> torch.nn.Module:
    """With weights that no plan gives."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.1)
    return module


@pytest.mark.parametrize("conversion", CONVERSIONS.values(), ids=CONVERSIONS.keys())
def test_a_network_comes_back(source, tmp_path, conversion):
    module, plan = gdws.convert(source.module, **conversion)
    altered(module).eval()
    path = tmp_path / "n.safetensors"
    converted.save(path, module.state_dict(), plan, PROVENANCE)
    found = converted.load(path)
    with torch.no_grad():
        assert torch.equal(found.module(IMAGES), module(IMAGES))
    assert found.plan == plan
    assert found.metadata["net"] == NET
    assert found.metadata["checkpoint_sha256"] == "ab"
    assert converted.find(path) is not None
    assert not found.module.training


def test_all_networks_of_a_bundle_come_back(source, tmp_path):
    path = tmp_path / "n.gdws"
    variants = [Variant("dense", source.module)]
    for name, conversion in CONVERSIONS.items():
        module, plan = gdws.convert(source.module, **conversion)
        variants.append(Variant(name, altered(module).eval(), (GdwsStep(plan),)))
    images = torch.rand(4, 1, 28, 28)
    pipeline.pack(path, source, variants, toy(4, 0).__class__(images, torch.zeros(4).long()), "noise", None)
    for variant in variants[1:]:
        found = converted.find(path, variant.name)
        assert found is not None
        with torch.no_grad():
            assert torch.equal(found.module(IMAGES), variant.module(IMAGES))
        assert found.plan == variant.plan
        assert json.loads(found.metadata["net_options"]) == OPTIONS
    for name, words in ((None, "several GDWS networks"), ("dense", "no GDWS network 'dense'")):
        with pytest.raises(GdwsError, match=words) as caught:
            converted.load_variant(path, name)
        assert "stacked" in str(caught.value.hint)


def test_the_pipeline_takes_such_a_file(source, tmp_path):
    module, plan = gdws.convert(source.module, mean_rank=1)
    path = tmp_path / "tuned.safetensors"
    tuning = {"finetuning": {"epochs": 3}, "validation": {"epoch": 2}, "data": "mnist-sample"}
    converted.save(path, module.state_dict(), plan, {**PROVENANCE, **tuning})
    loaded = pipeline.load(str(path))
    [variant] = pipeline.convert_all(loaded, [])
    assert (variant.name, variant.plan) == ("tuned", plan)
    with pytest.raises(GdwsError, match="already converted"):
        pipeline.convert_all(loaded, [pipeline.Recipe(MeanRank(1))])
    dense = Variant("dense", source.module)
    [_, tuned] = pipeline.with_tuned([dense], source, [path])
    assert tuned.name == "tuned"
    assert tuned.method.endswith("fine-tuned")
    assert tuned.steps[1] == FineTuneStep(epochs=2, data="mnist-sample")
    with pytest.raises(GdwsError, match="two networks"):
        pipeline.with_tuned([dense], source, [path, path])
    other = pipeline.Source("wrn", source.module, source.input_shape, {"net": "mnist-wrn"})
    with pytest.raises(GdwsError, match="made from mnist-preact-resnet"):
        pipeline.with_tuned([dense], other, [path])


def test_other_files_are_told(source, tmp_path):
    dense = tmp_path / "dense.safetensors"
    checkpoints.save(dense, source.module.state_dict(), {"net": NET})
    assert converted.find(dense) is None
    assert converted.find(tmp_path / "absent.safetensors") is None
    with pytest.raises(CheckpointUnreadable, match="not a GDWS network"):
        converted.load(dense)
    with pytest.raises(OSError, match="absent"):
        converted.find(tmp_path / "absent.gdws")


@pytest.mark.parametrize("field", ["plan", "net_options"])
def test_damaged_metadata_are_told(source, tmp_path, field):
    module, plan = gdws.convert(source.module, mean_rank=1)
    path = tmp_path / "n.safetensors"
    fields = {"net": NET, "net_options": json.dumps(OPTIONS), "plan": plan.to_json()}
    checkpoints.save(path, module.state_dict(), {**fields, field: "{"})
    with pytest.raises(CheckpointUnreadable, match="metadata"):
        converted.load(path)


def test_parts_that_do_not_belong_together_are_told(source, tmp_path):
    module, plan = gdws.convert(source.module, mean_rank=1)
    path = tmp_path / "n.safetensors"
    weights = dict(module.state_dict())

    def refused(weights: dict[str, torch.Tensor], words: str, **provenance: object) -> None:
        converted.save(path, weights, plan, {**PROVENANCE, **provenance})
        with pytest.raises(CheckpointMismatch, match=words):
            converted.load(path)

    refused(weights, "do not match", net_options={"width": 8})
    refused(weights, "do not match", net="mnist-wrn", net_options={})
    refused({**weights, "stray": torch.zeros(1)}, "stray")
    refused({key: weights[key] for key in weights if key != "linear.bias"}, "linear.bias")
    refused({key: weights[key] for key in weights if not key.endswith("running_var")}, "running_var")


def test_weights_that_are_not_finite_are_refused(source, tmp_path):
    module, plan = gdws.convert(source.module, mean_rank=1)
    with torch.no_grad():
        next(module.parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteWeights):
        converted.save(tmp_path / "n.safetensors", module.state_dict(), plan, PROVENANCE)


def test_a_frame_leaves_the_network_alone(tmp_path: Path):
    network = nets.build(NET, **OPTIONS)
    _, plan = gdws.convert(network, mean_rank=1, data=IMAGES)
    before = set(network.state_dict())
    framed = converted.frame(network, plan)
    assert set(network.state_dict()) == before
    layers = [module for module in framed.modules() if isinstance(module, GDWSConv2d)]
    assert len(layers) == len(plan.converted)
    assert all(layer.bias is not None for layer in layers)
