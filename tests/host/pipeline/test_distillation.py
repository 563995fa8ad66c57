"""The dense network is distilled into the GDWS networks of a bundle, on images of the training split."""

from __future__ import annotations

import pytest
import torch

from gdws import datasets, pipeline
from gdws.bundles.variant import Variant
from gdws.datasets import Split
from gdws.errors import DataError, ModelError
from gdws.networks.sources import Source
from gdws.pipeline import Recipe
from gdws.pipeline.distillation import distilled
from gdws.planning.budget import MeanRank
from gdws.training import DistillSettings, distillation
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


class Steps:
    """A progress that counts the steps of distillations, and is interrupted at one of them, as by Ctrl-C."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self._interrupt_at, self.done = interrupt_at, 0

    def start(self, total: int, description: str) -> None:
        pass

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self.done += n if "loss" in figures else 0
        if self.done == self._interrupt_at:
            raise KeyboardInterrupt


def test_a_bundle_goes_on_from_an_interrupted_distillation(source, tmp_path, monkeypatch):
    monkeypatch.setattr(distillation, "_STATE_INTERVAL_S", 0.0)
    settings = pipeline.BundleSettings(
        recipes=tuple(Recipe(MeanRank(rank), weighted=False) for rank in (1, 2)),
        distill=DistillSettings(steps=4, batch_size=4, precision="fp32"),
        test=0,
        verification=2,
    )
    data = datasets.random_images(source.module, SHAPE)
    out = tmp_path / "net.gdws"
    with pytest.raises(KeyboardInterrupt):
        pipeline.make_bundle(out, source, data, settings, progress=Steps(interrupt_at=6))
    assert not out.exists()
    left = Steps()
    made = pipeline.make_bundle(out, source, data, settings, progress=left)
    assert left.done == 3  # of eight: four of the first network and one of the second were kept
    assert [path.name for path in tmp_path.iterdir()] == ["net.gdws"]
    assert made.id == pipeline.make_bundle(tmp_path / "at-once.gdws", source, data, settings).id
