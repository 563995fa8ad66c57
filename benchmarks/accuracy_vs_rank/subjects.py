"""The networks of this table: their data, the attack, the forms that are made of each, and what those should reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.accuracy_vs_rank.figures import Targets
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import one_step
from gdws.pipeline import Recipe
from gdws.planning.budget import MacSaving, MeanRank
from gdws.training import DistillSettings, FinetuneSettings

_WEIGHTS = Path(__file__).resolve().parents[1] / "networks"
_MNIST_ATTACK = AttackSpec(eps=0.2, step=0.02, iterations=40, random_start=True)
_MNIST_TUNING = FinetuneSettings(precision="bf16", learning_rate=5e-4)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network and its forms: one by each of ``recipes``.

    Those of ``distilled`` and ``tuned``, which are among ``recipes``, also bring the same network distilled from the
    dense one without labels (``<name>-distilled``), and fine-tuned (``<name>-tuned``). ``path`` is what
    :func:`gdws.pipeline.load` finds the network under. ``natural_images`` of the test split judge natural accuracy,
    None for as many as judge robust accuracy; ``distillation_images`` of the training split are distilled on.
    """

    path: str
    data: str = "mnist-sample"
    attack: AttackSpec = _MNIST_ATTACK
    natural_images: int | None = None
    recipes: tuple[Recipe, ...]
    distilled: tuple[Recipe, ...] = ()
    distillation: DistillSettings | None = None
    distillation_images: int = 8192
    tuned: tuple[Recipe, ...] = ()
    tuning: FinetuneSettings = _MNIST_TUNING
    targets: Targets = field(default_factory=Targets)


def _stacked(saving: float) -> Recipe:
    return Recipe(MacSaving(saving), method="data-aware", layout="stacked")


_MNIST_TUNED = (_stacked(5.2), _stacked(5.7), Recipe(MacSaving(4.85), method="data-aware"))
_MNIST_RECIPES = (
    *(Recipe(MeanRank(rank), method="data-aware", layout="stacked") for rank in (2, 3)),
    Recipe(MeanRank(5)),
    _stacked(4.4),
    *_MNIST_TUNED,
    _stacked(3),
    Recipe(MacSaving(3), method="data-aware"),
    Recipe(MeanRank(7)),
)
_FASHION_ATTACK = AttackSpec(eps=0.1, step=0.01, iterations=40, random_start=True)
_FASHION_RECIPES = (
    Recipe(MeanRank(2), method="data-aware", layout="stacked"),
    _stacked(3),
    _stacked(5.5),
    Recipe(MeanRank(5)),
    Recipe(MeanRank(2)),
)

SUBJECTS: Mapping[str, Subject] = {
    "mnist-preact-resnet": Subject(path="mnist-preact-resnet", recipes=_MNIST_RECIPES, tuned=_MNIST_TUNED),
    "mnist-vgg16": Subject(path=str(_WEIGHTS / "mnist-vgg16.safetensors"), recipes=_MNIST_RECIPES, tuned=_MNIST_TUNED),
    "mnist-wrn": Subject(path=str(_WEIGHTS / "mnist-wrn.safetensors"), recipes=_MNIST_RECIPES, tuned=_MNIST_TUNED),
    "fashion-mnist-preact-resnet18": Subject(
        path=str(_WEIGHTS / "fashion-mnist-preact-resnet18.safetensors"),
        data="fashion-mnist",
        attack=_FASHION_ATTACK,
        natural_images=10_000,
        recipes=_FASHION_RECIPES,
        distilled=_FASHION_RECIPES[:2],
        distillation=DistillSettings(steps=160, attack=one_step(_FASHION_ATTACK), learning_rate=1e-3),
        tuned=(_stacked(5.5),),
        tuning=FinetuneSettings(
            precision="bf16",
            learning_rate=5e-4,
            batch_size=128,
            eps=0.1,
            iterations=1,
            step=0.125,
            flip=True,
            validation_images=1000,
        ),
        targets=Targets(
            most_mean_rank=None, speedup={1: 2.5, 2: 2.0}, most_mean_rank_tuned=None, speedup_tuned={1: 4.0, 2: 3.0}
        ),
    ),
}
