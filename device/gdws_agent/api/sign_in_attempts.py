"""How often an address may try a wrong token before its attempts are no longer looked at closely."""

from __future__ import annotations

import ipaddress
import time
from typing import Callable

from gdws_agent.rate_limiter import RateLimiter

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
        self._allowance = RateLimiter(burst, refill_s, max_addresses, clock)

    def __len__(self) -> int:
        return len(self._allowance)

    def count(self, address: str) -> float:
        """Count a wrong token from ``address``; return 0, or the seconds to wait where it had none left."""
        return self._allowance.take(_network(address))


def _network(address: str) -> str:
    """Return what stands for one client: an IPv4 address, or the /64 of an IPv6 one, whose rest clients choose."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)
