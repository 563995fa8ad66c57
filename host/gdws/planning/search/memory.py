"""A limit on the memory that a network takes on the device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gdws.errors import GdwsError
from gdws_contract.memory import Memory


@dataclass(frozen=True)
class MemoryLimit:
    """The most that a network may take at its peak, on host and device together.

    Raises :class:`~gdws.errors.GdwsError` for what is not a positive number.
    """

    mebibytes: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mebibytes) and self.mebibytes > 0):
            raise GdwsError(f"max_memory_mib: expected a positive number, got {self.mebibytes}")

    def refusal(self, memory: Memory | None) -> str | None:
        """Why a network that takes ``memory`` does not keep the limit; None if it does."""
        taken = mebibytes_of(memory)
        if taken is None:
            return f"its peak memory is not known: {_why_unknown(memory)}"
        return None if taken <= self.mebibytes else f"its peak memory is {taken:.4g} MiB, above {self.mebibytes:g} MiB"

    def refusal_of_all(self, memories: Iterable[Memory | None], none: str = "no network") -> str | None:
        """Why none of ``memories`` keeps the limit, beginning with ``none``; None if one does, or there are none."""
        found = list(memories)
        if not found or any(self.refusal(each) is None for each in found):
            return None
        least = min(found, key=lambda each: _or_infinity(mebibytes_of(each)))
        return f"{none} keeps the memory limit; of the smallest, {self.refusal(least)}"

    def require_known(self, dense: Memory | None) -> None:
        """Raise :class:`GdwsError` if the device did not measure what the ``dense`` network takes."""
        if mebibytes_of(dense) is None:
            raise GdwsError(
                f"the memory limit cannot be kept: peak memory is not known on this device: {_why_unknown(dense)}",
                hint="leave out --max-memory-mib, or use a backend and an agent that measure it",
            )


def mebibytes_of(memory: Memory | None) -> float | None:
    """The total of ``memory`` in MiB; None where it is not known."""
    total = None if memory is None else memory.total_peak_bytes
    return None if total is None else total / 2**20


def _why_unknown(memory: Memory | None) -> str | None:
    return "the agent does not measure it" if memory is None else memory.why_unknown


def _or_infinity(value: float | None) -> float:
    return math.inf if value is None else value
