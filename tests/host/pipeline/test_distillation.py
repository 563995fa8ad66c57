"""The dense network is distilled into the GDWS networks of a bundle, on images of the training split."""

from __future__ import annotations

import pytest
import torch

from gdws import pipeline
from gdws.bundles.variant import Variant
from gdws.datasets import Split
from gdws.errors import DataError, ModelError
from gdws.networks.sources import Source
from gdws.pipeline import Recipe
from gdws.pipeline.distillation import distilled
from gdws.planning.budget import MeanRank
from gdws.training import DistillSettings
from gdws_contract.steps import DistillStep
from support.networks import SmallResNet, seeded

SHAPE = (3, 12, 12)
SETTINGS = DistillSettings(steps=2, batch_size=4, precision="fp32")


@pytest.fixture(scope="module")
def source() -> Source:
    return Source("toy", seeded(SmallResNet), SHAPE, {})


@pytest.fixture(scope="module")
def variants(source: Source) -> list[Variant]:
    return pipeline.convert_all(source, [Recipe(MeanRank(1), layout="stacked")])


def images(count: int, *shape: int) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("count", "seen"), [(6, 6), (20, 8)])
def test_gdws_networks_alone_and_the_images_that_the_steps_see(source, variants, count, seen):
    dense, made = distilled(variants, source, Split(images(count, *SHAPE)), "toys, train", SETTINGS)
    assert dense is variants[0]
    assert made.name == f"{variants[1].name}-distilled"
    assert made.steps == (*variants[1].steps, DistillStep(steps=2, data=f"{seen} images of toys, train"))
    before, after = (list(each.module.parameters()) for each in (variants[1], made))
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (images(6, 1, 12, 12), "the images of toys, train are 1x12x12, but the network takes 3x12x12"),
        (255 * images(6, *SHAPE), "pixels range from 0"),
    ],
)
def test_images_that_do_not_fit_are_refused_before_a_step(source, variants, wrong, message):
    with pytest.raises(DataError, match=message):
        distilled(variants, source, Split(wrong), "toys, train", SETTINGS)


def test_a_network_without_gradients_names_the_option_to_leave_out(variants):
    network = seeded(SmallResNet)
    network.differentiable = False
    with pytest.raises(ModelError, match="no gradients") as refused:
        distilled(variants, Source("toy", network, SHAPE, {}), Split(images(6, *SHAPE)), "toys, train", SETTINGS)
    assert "--distill" in str(refused.value.hint)
