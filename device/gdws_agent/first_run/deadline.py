"""The time that a check may take."""

from __future__ import annotations

import time
from typing import Callable


class Deadline:
    """Begins when it is made. Whatever waits in a check is given :attr:`left_s`."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._ends_s = clock() + limit_s

    @property
    def left_s(self) -> float:
        """The time that is left, in seconds; 0 when it has passed."""
        return max(0.0, self._ends_s - self._clock())

    def passed(self) -> bool:
        """Return whether no time is left."""
        return self.left_s == 0.0
