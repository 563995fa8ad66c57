"""From a row of a table and the weights of its network to the network of the row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.paper.rows import Row
from gdws import pipeline
from gdws.bundles.variant import GdwsStep, Variant
from gdws.datasets import Dataset
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import one_step
from gdws.networks import converted
from gdws.pipeline import Alphas, Recipe, Source
from gdws.planning.budget import Beta, MeanRank
from gdws.training import DistillSettings

#: The fit of data-aware networks is that of the table of accuracies, which judges more of them.
CALIBRATION_IMAGES = 1024
#: Five minutes on two cores; they see 30,000 training images.
DISTILLATION_STEPS = 240


def recipe(row: Row, *, is_stand_in: bool) -> Recipe | None:
    """How the row's network is converted: by the paper's beta, a stand-in by its mean rank; None for a dense one."""
    if row.data_aware is not None:
        return row.data_aware.recipe
    if row.beta is None:
        return None
    return Recipe(MeanRank(row.stand_in_mean_rank)) if is_stand_in else Recipe(Beta(row.beta))


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes networks of ``source``, and keeps those that are converted in ``folder``.

    ``attack`` makes the images that data-aware ones are fitted to, ``alpha_images`` of the training split the alphas of
    others.
    """

    source: Source
    data: Dataset
    attack: AttackSpec
    alpha_images: int
    folder: Path
    is_stand_in: bool

    def variant(self, row: Row) -> Variant:
        """The network of a row."""
        how = recipe(row, is_stand_in=self.is_stand_in)
        if how is None:
            [dense] = pipeline.convert_all(self.source, [])
            return dense
        if row.data_aware is None:
            return self._kept(f"{how.name}-alphas-{self.alpha_images}", lambda: self._converted(how))
        start = f"{how.name}-{CALIBRATION_IMAGES}"
        if not row.data_aware.distilled:
            return self._kept(start, lambda: self._converted(how))
        name = f"{start}-distilled-{DISTILLATION_STEPS}"
        return self._kept(name, lambda: self._distilled(self._kept(start, lambda: self._converted(how)), name))

    def _kept(self, name: str, make: Callable[[], Variant]) -> Variant:
        path = self._path(name)
        if not path.exists():
            made = make()
            assert made.plan is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            converted.save(path, made.module.state_dict(), made.plan, self.source.provenance)
        found = converted.load(path, dense=self.source)
        return Variant(name, found.module, (GdwsStep(found.plan),))

    def _converted(self, how: Recipe) -> Variant:
        is_fitted = how.method == "data-aware"
        [_, made] = pipeline.convert_all(
            self.source,
            [how],
            weights=None if is_fitted else self._alphas,
            data=self._calibration_images if is_fitted else None,
        )
        return made

    def _distilled(self, start: Variant, name: str) -> Variant:
        """``start`` with the dense network distilled into it; interrupted, it goes on from its state."""
        settings = DistillSettings(steps=DISTILLATION_STEPS, attack=one_step(self.attack))
        state = self._path(name).with_suffix(".state")
        train = f"{self.data.name}, train"
        [made] = pipeline.distilled([start], self.source, self.data.train, train, settings, state_of=lambda name: state)
        return made

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.weights[:16]}-{name}.safetensors"

    @cached_property
    def weights(self) -> str:
        """The SHA-256 of the weights, which tells pruned networks apart."""
        found = hashlib.sha256()
        for key, tensor in self.source.module.state_dict().items():
            found.update(key.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    @cached_property
    def _alphas(self) -> Alphas | None:
        return pipeline.calibrate_alphas(self.source, self.data.train.first(self.alpha_images))

    @cached_property
    def _calibration_images(self) -> torch.Tensor:
        return pipeline.calibration_images(self.source, self.data.train.first(CALIBRATION_IMAGES), self.attack)
