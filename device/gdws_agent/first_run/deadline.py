"""The time that a check may take."""

from __future__ import annotations

import time
from typing import Callable


class Deadline:
    """Starts when it is created. Calls that wait in a check take :attr:`left_s` as their timeout."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._ends_s = clock() + limit_s

    @property
    def left_s(self) -> float:
        """The remaining time in seconds; 0 when it has passed."""
        return max(0.0, self._ends_s - self._clock())

    def passed(self) -> bool:
        """Return whether the time has passed."""
        return self.left_s == 0.0
