"""How long a search takes yet, at most, by how long its steps took so far."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Literal

from gdws.planning.search.explorer import GROUP
from gdws.planning.search.goals import Effort
from gdws.planning.search.space import Space
from gdws.planning.search.steadiness import DECIDING_REPEATS

#: A job on the device, or the fitting, tuning and evaluation of a network.
Kind = Literal["job", "judgement"]
#: The last measurement and each of its repetitions is so many times longer; beside the judgements on the way there are
#: the dense network's and one on the final images, each of both.
_CONFIRMING_JOBS = 3
_DECIDING = 1 + DECIDING_REPEATS
_OTHER_JUDGEMENTS = 3
#: Repetitions at most double what is measured and profiled.
_REPEATED = 2
#: INT8 takes another long measurement, and judgements of five networks on both kinds of images.
_JUDGEMENTS_IN_INT8 = 10


class TimeLeft:
    """Counts steps against the most that there can be; steps that were known from before count, and take no time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._most: dict[Kind, int] = {}
        self._done: dict[Kind, int] = {"job": 0, "judgement": 0}
        self._took: dict[Kind, list[float]] = {"job": [], "judgement": []}

    def plan(self, space: Space, effort: Effort, *, int8: bool = False, states: int = 1) -> None:
        """Say what is to come; with ``int8`` networks run in two precisions. ``states`` of the device are searched."""
        groups = math.ceil(max((len(layer.options) - 1 for layer in space.layers), default=0) / GROUP)
        learning = _REPEATED * (2 * groups + 1)  # each group is profiled and timed; one is of uniform networks
        deciding = (1 + int8) * _DECIDING * _CONFIRMING_JOBS
        self._most = {
            "job": states * (learning + effort.rounds * effort.judgements + deciding),
            "judgement": effort.judgements + _OTHER_JUDGEMENTS + int8 * _JUDGEMENTS_IN_INT8,
        }

    def known(self, kind: Kind) -> None:
        """A step was found done."""
        self._done[kind] += 1

    @contextlib.contextmanager
    def step(self, kind: Kind) -> Iterator[None]:
        """Time a step that is done now."""
        began = self._clock()
        yield
        self._took[kind].append(self._clock() - began)
        self._done[kind] += 1

    def words(self) -> str | None:
        """E.g. ``at most 4 min left``; None as long as nothing is known."""
        if not self._took["job"] or not self._most:
            return None
        left_s, what = self._left_s("job"), "of measuring left"
        if self._took["judgement"]:
            left_s, what = left_s + self._left_s("judgement"), "left"
        return f"at most {_duration(left_s)} {what}" if left_s > 0 else None  # None: it takes longer than was foreseen

    def _left_s(self, kind: Kind) -> float:
        return max(0, self._most[kind] - self._done[kind]) * statistics.fmean(self._took[kind])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
