"""Classification: one output, logits (N, K), of which the largest decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from gdws._util.outputs import logits_in
from gdws.compression.calibration.projections import Projection, decision
from gdws.evaluation.attacks.ascent import Objective, cross_entropy
from gdws_contract import task as contract
from gdws_contract.findings.intervals import proportion
from gdws_contract.measures import Metric


@dataclass(frozen=True)
class Classification:
    """The class of an image is its largest logit."""

    @property
    def contract(self) -> contract.Classification:
        """The task as a bundle holds it."""
        return contract.Classification()

    @property
    def loss(self) -> Callable[[Tensor], Objective]:
        """The cross-entropy."""
        return cross_entropy

    def check(self, output: Any, images: int) -> None:
        """Raise :class:`~gdws.errors.ModelError` unless ``output`` is finite logits (N, K)."""
        logits_in(output, images)

    def projection(self, model: nn.Module, images: Tensor) -> Projection:
        """The differences of logits that decide."""
        return decision

    def meter(self) -> ClassificationMeter:
        """A new comparison."""
        return ClassificationMeter()

    def grader(self) -> None:
        """There are no annotations for it."""
        return

    def classes_of(self, output: Tensor) -> int:
        """How many logits there are."""
        return int(output.shape[1])


@dataclass
class ClassificationMeter:
    """``agreement``: the share of images that both networks give the same class."""

    _same: list[bool] = field(default_factory=list)

    def update(self, found: Tensor, reference: Tensor) -> None:
        """Take in logits (N, K) of both networks."""
        self._same += (found.argmax(dim=1) == reference.argmax(dim=1)).tolist()

    def metrics(self) -> dict[str, Metric]:
        """The agreement, with its interval."""
        return {"agreement": proportion(sum(self._same), len(self._same))}
