"""The networks of the comparison: dense and GDWS, each in floating point and in INT8, made once and kept in files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gdws import datasets, pipeline
from gdws.bundles.variant import BASELINE, GdwsStep, Variant
from gdws.datasets import Dataset, Split
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import PROTOCOLS, for_data, one_step
from gdws.networks import converted, quantised, zoo
from gdws.networks.sources import Source
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline import Recipe
from gdws.planning.budget import MeanRank
from gdws.training import DistillSettings, FinetuneSettings, finetune_int8

_WEIGHTS = Path(__file__).resolve().parents[1] / "networks"
#: For ONNX Runtime on a CPU, where speeds are measured.
INT8 = Int8Settings(scheme="asymmetric")
_TIMED_CALIBRATION = 64
#: Five minutes on two cores for the network of Fashion-MNIST; they see 30,000 training images.
_DISTILL_STEPS = 240
#: One epoch of this many training images: minutes on two cores.
_TUNED_ON = 2000
#: Test images in a bundle: engines replay them, and are attacked on them.
REPLAYED = 200

#: What has an accuracy: dense, and fitted to data at a mean rank; ``distilled``; in ``int8``; ``tuned``, by an epoch of
#: adversarial training as it is rounded.
FORMS = (
    *(BASELINE, f"{BASELINE}-int8", "rank-2", "rank-2-int8", "rank-2-int8-tuned"),
    *("rank-2-distilled", "rank-2-distilled-int8"),
    *("rank-1", "rank-1-int8", "rank-1-distilled", "rank-1-distilled-int8"),
)


@dataclass(frozen=True)
class Subject:
    """A network: its file or its name, and the images it was trained on; None: random weights, for speed alone.

    ``calibration`` counts the images that networks are fitted to and ranges are found from, besides the same attacked.
    """

    path: str
    data: str | None
    calibration: int = 1024


SUBJECTS: Mapping[str, Subject] = {
    "mnist-preact-resnet": Subject("mnist-preact-resnet", "mnist-sample"),
    "fashion-mnist-preact-resnet18": Subject(
        str(_WEIGHTS / "fashion-mnist-preact-resnet18.safetensors"), "fashion-mnist", calibration=512
    ),
    "preact-resnet18": Subject("preact-resnet18", None),
}


class Forms:
    """The networks of one subject, from ``folder`` as far as they were made before."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder / name
        self._folder.mkdir(parents=True, exist_ok=True)
        subject = SUBJECTS[name]
        self.has_images, self._calibration = subject.data is not None, subject.calibration
        self.source = pipeline.load(subject.path) if self.has_images else _random(subject.path)
        self.data = datasets.load(subject.data) if subject.data else _noise(self.source)
        self.attack: AttackSpec | None = None
        if subject.data is not None:
            self.attack = PROTOCOLS[for_data(subject.data)][0]

    @property
    def protocol(self) -> AttackSpec:
        """The attack of the data set's protocol."""
        assert self.attack is not None, f"{self.name} has no images to attack"
        return self.attack

    def variant(self, name: str) -> Variant:
        """One of :data:`FORMS`."""
        base, _, last = name.rpartition("-")
        if last == "tuned":
            return self._tuned(self.variant(base))
        if last == "int8":
            return self._in_int8(self.variant(base))
        if last == "distilled":
            return self._distilled(self.variant(base))
        return Variant(BASELINE, self.source.module) if name == BASELINE else self._gdws(name, int(last))

    def bundle(self, names: Sequence[str]) -> Path:
        """A bundle of forms with the images that they are attacked on, and the attack of the network's protocol."""
        path = self._folder / f"{'+'.join(names)}.gdws"
        if not path.exists():
            images, origin = self.data.test.first(REPLAYED), f"{self.data.name}, test"
            pipeline.pack(path, self.source, [self.variant(name) for name in names], images, origin, self.attack)
        return path

    def timing_bundle(self) -> Path:
        """Dense, ranks 2 and 1, each in FP32 and INT8, by weights alone: they take the time of fitted ones."""
        path = self._folder / "timing.gdws"
        if not path.exists():
            made = pipeline.convert_all(self.source, [Recipe(MeanRank(rank), layout="stacked") for rank in (2, 1)])
            names = [BASELINE, "rank-2", "rank-1"]
            floating = [dataclasses.replace(each, name=name) for each, name in zip(made, names, strict=True)]
            seen = self.data.train.first(_TIMED_CALIBRATION).images
            variants = pipeline.with_int8(floating, self.source, seen, INT8)
            pipeline.pack(path, self.source, variants, self.data.test.first(4), "timing only", None)
        return path

    def state(self, what: str) -> Path:
        """A file for the progress of an evaluation."""
        return self._folder / what

    def _gdws(self, name: str, rank: int) -> Variant:
        def make() -> Variant:
            recipe = Recipe(MeanRank(rank), layout="stacked", method="data-aware")
            images = self.data.train.first(self._calibration)
            _, made = pipeline.convert_fitted(self.source, [recipe], images, self.attack)
            return dataclasses.replace(made, name=name)

        return self._kept(name, make)

    def _distilled(self, variant: Variant) -> Variant:
        def make() -> Variant:
            settings = DistillSettings(steps=_DISTILL_STEPS, attack=one_step(self.protocol))
            [made] = pipeline.distilled(
                [variant],
                self.source,
                self.data.train,
                f"{self.data.name}, train",
                settings,
                state_of=lambda name: self.state(f"{name}.state"),
            )
            return made

        return self._kept(f"{variant.name}-distilled", make)

    def _kept(self, name: str, make: Callable[[], Variant]) -> Variant:
        path = self._folder / f"{name}.safetensors"
        if path.exists():
            found = converted.load(path, dense=self.source)
            return Variant(name, found.module, (GdwsStep(found.plan),))
        made = make()
        assert made.plan is not None
        converted.save(path, made.module.state_dict(), made.plan, self.source.provenance)
        return made

    def _in_int8(self, variant: Variant) -> Variant:
        path = self._folder / f"{variant.name}-int8.onnx"
        if not path.exists():
            images = self.data.train.first(self._calibration)
            seen = pipeline.range_images(self.source, images, self.attack)
            [_, made] = pipeline.with_int8([variant], self.source, seen, INT8)
            quantised.save(path, made, tuple(self.source.input_shape), self.source.provenance)
        return quantised.load(path, dense=self.source)

    def _tuned(self, variant: Variant) -> Variant:
        """A network in INT8 after an epoch of adversarial training as it is rounded."""
        path = self._folder / f"{variant.name}-tuned.onnx"
        if not path.exists():
            settings = FinetuneSettings(
                epochs=1, eps=self.protocol.eps, learning_rate=1e-4, validation_images=500, validation_iterations=10
            )
            working = path.with_name(f"working-{path.name}")
            few = dataclasses.replace(self.data, train=self.data.train.first(_TUNED_ON))
            finetune_int8(
                variant,
                tuple(self.source.input_shape),
                few,
                settings,
                provenance=self.source.provenance,
                out=working,
                resume=True,
            )
            os.replace(working, path)
        return quantised.load(path, dense=self.source)


def _random(name: str) -> Source:
    """A network of the zoo with random weights and the statistics of batch normalisation of noise."""
    torch.manual_seed(0)
    module = zoo.build(name)
    shape = zoo.input_shape(name)
    _settle(module, torch.rand(16, *shape))
    return Source(name, module, shape, {"net": name})


@torch.no_grad()
def _settle(module: nn.Module, images: torch.Tensor) -> None:
    """Set the statistics of batch normalisation to those of ``images``."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # a cumulative average, of one batch here
    module.train()(images)
    module.eval()


def _noise(source: Source) -> Dataset:
    images = torch.rand(128, *source.input_shape, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.zeros(len(images), dtype=torch.int64))
    return Dataset("noise", 10, split, split, split)
