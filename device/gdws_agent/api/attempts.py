"""How often an address may try a wrong token before its attempts are no longer looked at closely."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from typing import Callable, Tuple

MAX_ATTEMPTS = 10
REFILL_S = 6.0
MAX_ADDRESSES = 1_024


class Attempts:
    """Counts wrong tokens by address: ``burst`` at once, then one in ``refill_s``. Memory is bounded.

    It bounds what guessing costs the agent in work and log lines. What makes guessing hopeless is the length of
    the tokens. So a right token is never counted nor held up: one dashboard with an old token must not lock out
    everybody behind the same router. For use from the event loop alone.
    """

    def __init__(
        self,
        burst: int = MAX_ATTEMPTS,
        refill_s: float = REFILL_S,
        max_addresses: int = MAX_ADDRESSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._refill_s = refill_s
        self._max_addresses = max_addresses
        self._clock = clock
        #: Address -> attempts left and when they were counted; the address heard last is the last.
        self._left: OrderedDict[str, Tuple[float, float]] = OrderedDict()

    def count(self, address: str) -> float:
        """Count a wrong token from ``address``; return 0, or the seconds to wait where it had none left."""
        key, now = _network(address), self._clock()
        left, counted_at = self._left.pop(key, (float(self._burst), now))
        left = min(float(self._burst), left + (now - counted_at) / self._refill_s)
        wait_s = 0.0 if left >= 1.0 else (1.0 - left) * self._refill_s
        self._left[key] = (left - 1.0 if wait_s == 0.0 else left, now)
        if len(self._left) > self._max_addresses:
            self._left.popitem(last=False)
        return wait_s


def _network(address: str) -> str:
    """Return what stands for one client: an IPv4 address, or the /64 of an IPv6 one, whose rest clients choose."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)
