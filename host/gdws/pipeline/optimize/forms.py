"""A network of a search in one precision: as its plan makes it, or that in INT8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gdws.bundles.variant import BASELINE
from gdws.planning.search.evidence import Loss, Timing
from gdws.planning.search.search import Answer, Status
from gdws.planning.search.space import Choice, Space, key_of
from gdws_contract.findings import text


class Form(NamedTuple):
    """The network of a ``choice``, in INT8 or as it is.

    In INT8 as many layers as ``kept`` says stay in floating point, those whose rounding costs most.
    """

    choice: Choice
    int8: bool = False
    kept: int = 0

    def name(self, space: Space) -> str:
        """``dense`` or ``plan-<key>``, with ``-int8`` in INT8, and ``-keep-<n>`` where layers stay out of it."""
        name = BASELINE if self.choice == space.dense else f"plan-{key_of(self.choice)}"
        return f"{name}{self.suffix}"

    @property
    def suffix(self) -> str:
        """What the name of the network in floating point is followed by."""
        kept = f"-keep-{self.kept}" if self.kept else ""
        return f"-int8{kept}" if self.int8 else ""


@dataclass(frozen=True)
class Outcome:
    """What is delivered, best first, and what was found of it on the way.

    ``beside`` are dense forms that go into the bundle, too. ``timings`` are of one measurement in which all took turns;
    ``rival`` is the fastest dense form that keeps the limits, and ``gain`` how many times as fast as that the best
    network is, with its 95 % interval.
    """

    status: Status
    reason: str
    delivered: tuple[Form, ...] = ()
    beside: tuple[Form, ...] = ()
    timings: Mapping[Form, Timing] = field(default_factory=dict)
    losses: Mapping[Form, Loss] = field(default_factory=dict)
    final: Mapping[Form, Loss] = field(default_factory=dict)
    rival: Form | None = None
    gain: tuple[float, float, float] | None = None
    doubts: tuple[str, ...] = ()


def as_planned(answer: Answer) -> Outcome:
    """The outcome of a search alone, in the precision that it was made in."""
    return Outcome(
        answer.status,
        answer.reason,
        tuple(Form(choice) for choice in answer.choices),
        timings={} if answer.confirmed is None else {Form(each.choice): each for each in answer.confirmed.timings},
        losses={Form(choice): loss for choice, loss in answer.judged.items()},
        final={Form(choice): loss for choice, loss in answer.final.items()},
        doubts=_tried(answer),
    )


def _tried(answer: Answer) -> tuple[str, ...]:
    """What readers of the final figures must know: how many networks had a try on the final images."""
    if not answer.choices or not answer.refused:
        return ()
    return (
        f"the test images refused {text.plural(len(answer.refused), 'network')} that the validation images had allowed",
    )
