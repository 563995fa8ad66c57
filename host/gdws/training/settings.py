"""The settings that determine the result of training, given the data and the initial network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.training.precision import PRECISIONS
from gdws.training.pruning import Pruning

SCHEDULES = ("one-cycle", "piecewise")
OPTIMIZERS = ("sgd", "adam")
BATCH_NORMS = ("batch", "fixed")


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """Settings of adversarial training and of the selection of the best epoch.

    ``batch_size`` counts the images of a step over all processes. ``eps`` is the attack's l_inf radius in pixel units,
    0 for natural training. ``step`` is its step size; None for 2.5 * eps / iterations (Madry et al., section 5), which
    validation takes in any case. One iteration of a step of 1.25 * eps is fast adversarial training (Wong et al., 2020,
    arXiv:2001.03994); validation by several tells whether it overfits to the one step, from one epoch to the next.
    ``validation_images`` is how many of the validation split judge an epoch, None for all. ``learning_rate`` is the
    highest of the schedule. Images are shifted by up to ``shift`` pixels each way over a border of zeros, which is the
    usual random crop, and mirrored at random with ``flip``. ``precision`` ``bf16`` runs forward and backward passes in
    torch's mixed precision and leaves weights and their updates in fp32; ``auto`` is ``bf16`` on GPUs that have it,
    else ``fp32``. (fp16 is not offered: gradients of single pixels vanish in it, and the attack with them.)
    """

    epochs: int
    batch_size: int = 64
    eps: float = 0.2
    step: float | None = None
    iterations: int = 5
    validation_iterations: int = 10
    validation_images: int | None = None
    optimizer: str
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float
    schedule: str = "one-cycle"
    shift: int = 2
    flip: bool = False
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "iterations", "validation_iterations"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        self._require(self.validation_images is None or self.validation_images >= 1, "validation_images", "at least 1")
        for name in ("shift", "weight_decay"):
            self._require(getattr(self, name) >= 0, name, "at least 0")
        self._require(0 < self.learning_rate < math.inf, "learning_rate", "greater than 0")
        self._require(0 <= self.momentum < 1, "momentum", "in [0, 1)")
        self._require_one_of("optimizer", OPTIMIZERS)
        self._require_one_of("schedule", SCHEDULES)
        self._require_one_of("precision", PRECISIONS)
        self.attack(seed=self.seed)  # checks eps and step

    def attack(self, *, seed: int) -> AttackSpec:
        """The attack that makes the training images."""
        step = self._madrys_step(self.iterations) if self.step is None else self.step
        return AttackSpec(eps=self.eps, step=step, iterations=self.iterations, seed=seed)

    @property
    def validation_attack(self) -> AttackSpec | None:
        """The attack for the selection of the best epoch; None for natural training."""
        if self.eps == 0:
            return None
        iterations = self.validation_iterations
        return AttackSpec(eps=self.eps, step=self._madrys_step(iterations), iterations=iterations, seed=self.seed)

    def _madrys_step(self, iterations: int) -> float:
        return 2.5 * self.eps / iterations if self.eps > 0 else 1.0  # at eps 0 there is no step

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return dataclasses.asdict(self)

    def _require(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            raise GdwsError(f"{name} is {getattr(self, name)!r}", hint=f"it must be {rule}")

    def _require_one_of(self, name: str, legal: tuple[str, ...]) -> None:
        self._require(getattr(self, name) in legal, name, f"one of {', '.join(legal)}")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(DescentSettings):
    """Training of the registered network ``net``, built with ``net_options``, from fresh weights.

    ``pruning`` first sets the smallest filters or weights of a trained network to zero, where they stay. The defaults
    are the recipe of the MNIST sample; :data:`PRESETS` has others.
    """

    net: str
    net_options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 16
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    pruning: Pruning | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        pruning = None if self.pruning is None else str(self.pruning)
        return {**super().to_dict(), "net_options": dict(self.net_options), "pruning": pruning}


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(DescentSettings):
    """Fine-tuning of a converted network: few epochs of Adam at a low rate, the attack that of the MNIST sample.

    ``batch_norm`` ``batch`` normalises by each batch and lets the running statistics follow, as training does;
    ``fixed`` normalises by the statistics that the network comes with, and leaves them.
    """

    epochs: int = 2
    validation_iterations: int = 20
    optimizer: str = "adam"
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    batch_norm: str = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_of("batch_norm", BATCH_NORMS)


@dataclass(frozen=True)
class Preset:
    """A published or proven recipe: ``settings`` for the data set and the network it was made for."""

    data: str
    settings: TrainSettings
    summary: str


_RICE = TrainSettings(
    net="preact-resnet18",
    epochs=200,
    batch_size=128,
    eps=8 / 255,
    step=2 / 255,
    iterations=10,
    schedule="piecewise",
    shift=4,
    flip=True,
)

_FAST = TrainSettings(
    net="mnist-preact-resnet18",
    epochs=12,
    batch_size=128,
    eps=0.1,
    step=0.125,
    iterations=1,
    validation_images=1000,
    flip=True,
)

#: Training recipes by name. Those of Rice et al. (2020, arXiv:2002.11569) are what the paper trained with (section 5);
#: digits are not mirrored.
PRESETS: Mapping[str, Preset] = {
    "mnist": Preset("mnist-sample", TrainSettings(net="mnist-preact-resnet"), "the MNIST sample, minutes on a CPU"),
    "fashion-mnist-fast": Preset(
        "fashion-mnist", _FAST, "Fashion-MNIST as Wong et al. (2020): 12 epochs against one step from a random start"
    ),
    "cifar10-rice": Preset("cifar10", _RICE, "CIFAR-10 as Rice et al. (2020): 200 epochs against PGD-10 at 8/255"),
    "svhn-rice": Preset(
        "svhn", dataclasses.replace(_RICE, learning_rate=0.01, flip=False), "SVHN as Rice et al.: the same at rate 0.01"
    ),
}
