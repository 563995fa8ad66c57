"""What is recorded and said of images whose labels a network gave, and of noise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gdws import datasets, pipeline
from gdws.bundles.description import describe
from gdws.errors import DataError
from gdws.pipeline import Recipe, Source
from gdws.planning.budget import MeanRank
from gdws_contract.archive import open_bundle
from support.image_files import write_classes
from support.networks import SmallResNet, seeded

SHAPE = (3, 8, 8)


def source(network: nn.Module | None = None) -> Source:
    return Source("it", network or seeded(SmallResNet), SHAPE, {})


def made(data: datasets.Dataset, network: Source):
    variants = pipeline.convert_all(network, [Recipe(MeanRank(1))])
    return pipeline.evaluate_all(variants, data.test, data.name, None)


def opened(kind: str, root, network: Source) -> datasets.Dataset:
    if kind == "noise":
        return datasets.random_images(network.module, SHAPE)
    write_classes(root / "data", dict.fromkeys("abcde", 8), height=8)
    where = root / "data" if kind == "labelled" else write_classes(root, {"flat": 40}, height=8) / "flat"
    return datasets.for_network(datasets.open_images(where, SHAPE), network.module, SHAPE)


@pytest.mark.parametrize("kind", ["labelled", "network", "noise"])
def test_the_origin_goes_into_the_bundle(tmp_path, kind):
    network = source()
    data = opened(kind, tmp_path, network)
    variants = made(data, network)
    pipeline.pack(tmp_path / "a.gdws", network, variants, data.test.first(4), data.name, None)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        manifest, facts = bundle.manifest, dict(describe(bundle).facts)
    assert manifest.verification.origin == kind
    assert [label for label in facts if label.endswith((" on", " on noise"))] == [
        "accuracies on" if kind == "labelled" else f"agreement with the baseline on{' noise' * (kind == 'noise')}"
    ]
    assert [variant.evaluation.origin for variant in manifest.variants] == [kind, kind]
    dense = manifest.variants[0].evaluation
    assert (dense.natural.value == 1) is (kind != "labelled")
    doubts = pipeline.evaluation_doubts(network, variants)
    assert any("images are noise" in doubt for doubt in doubts) is (kind == "noise")


def test_a_network_that_answers_one_class(tmp_path):
    """Its head is blind to what it sees, e.g. since pixels are far from the range that it was trained on."""
    network = seeded(SmallResNet)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.arange(5.0))
    blind = source(network)
    data = opened("network", tmp_path, blind)
    variants = made(data, blind)
    assert variants[0].evaluation.classes_answered == 1
    [doubt] = pipeline.evaluation_doubts(blind, variants)
    assert doubt.startswith("it: The network answers one and the same class for all 12 images")
    labelled = pipeline.evaluate_one(variants[0], opened("labelled", tmp_path, blind).test, None)
    assert ["near chance" in doubt for doubt in labelled.doubts()] == [True, False]


def test_a_bundle_is_not_packed_for_another_size(tmp_path):
    network = source()
    variants = pipeline.convert_all(network, [])
    other = datasets.Split(torch.rand(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(DataError, match="images of noise are 3x16x16, but the network takes 3x8x8"):
        pipeline.pack(tmp_path / "a.gdws", network, variants, other, "noise", None)
