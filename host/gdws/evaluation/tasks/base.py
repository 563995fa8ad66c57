"""What a task is: everything that depends on what the outputs of a network mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from gdws.compression.calibration.projections import Projection
from gdws.datasets.annotations import Truth
from gdws.evaluation.attacks.ascent import Objective
from gdws_contract import task as contract
from gdws_contract.measures import Metric


class Meter(Protocol):
    """Compares a network with the one before conversion, batch by batch."""

    def update(self, found: Any, reference: Any) -> None:
        """Take in what the two networks give for the same images."""

    def metrics(self) -> dict[str, Metric]:
        """How far they agree, by the name of the measure. There must have been an image."""


class Grader(Protocol):
    """Compares a network with what people say is in the images, batch by batch."""

    def update(self, found: Any, truths: Sequence[Truth]) -> None:
        """Take in what the network gives for images, and the truth about each.

        Raises :class:`~gdws.errors.DataError` for a truth that is not of this task or not of this network's classes.
        """

    def metrics(self) -> dict[str, Metric]:
        """How good the network is, by the name of the measure; empty where the truth holds nothing to find."""


class Task(Protocol):
    """What the outputs of a network mean.

    ``loss`` makes, from labels (N,), what an attack raises; None where no attack is known.
    """

    @property
    def contract(self) -> contract.Task:
        """The task as a bundle holds it."""

    @property
    def loss(self) -> Callable[[Tensor], Objective] | None: ...

    def check(self, output: Any, images: int) -> None:
        """Raise :class:`~gdws.errors.ModelError` unless ``output`` is what a network of this task gives for ``images``.

        Values are looked at, too: NaN and infinity are no answer.
        """

    def projection(self, model: nn.Module, images: Tensor) -> Projection:
        """What matters of the outputs, for data-aware fitting to ``images`` (N, C, H, W)."""

    def meter(self) -> Meter:
        """A new comparison."""

    def grader(self) -> Grader | None:
        """What compares with annotations; None where there is no such thing."""

    def classes_of(self, output: Any) -> int | None:
        """How many classes a network tells apart that gives ``output``; None where it has none."""
