"""A rate limiter: one token bucket per key, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Callable, Tuple


class RateLimiter:
    """Allows each key ``burst`` times at once, then once in ``refill_s``. For use from one thread at a time.

    Of more than ``max_keys`` the one that was used longest ago is forgotten.
    """

    def __init__(self, burst: int, refill_s: float, max_keys: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = float(burst)
        self._refill_s = refill_s
        self._max_keys = max_keys
        self._clock = clock
        #: Key -> times left and when they were counted; the key used last is the last.
        self._left: OrderedDict[str, Tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: str) -> float:
        """Count one more time for ``key``; return 0, or the seconds to wait where none was left."""
        left, now = self._now(key)
        wait_s = 0.0 if left >= 1.0 else (1.0 - left) * self._refill_s
        self._left[key] = (left - 1.0 if wait_s == 0.0 else left, now)
        self._left.move_to_end(key)
        if len(self._left) > self._max_keys:
            self._left.popitem(last=False)
        return wait_s

    def has(self, key: str) -> bool:
        """Return whether :meth:`take` would return 0 for ``key``."""
        return self._now(key)[0] >= 1.0

    def _now(self, key: str) -> Tuple[float, float]:
        now = self._clock()
        left, counted_at = self._left.get(key, (self._burst, now))
        return min(self._burst, left + (now - counted_at) / self._refill_s), now
