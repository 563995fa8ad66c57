"""The outcome of one limit, and of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gdws.errors import ExitCode

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]

#: Exit codes of the outcomes; see :class:`~gdws.errors.ExitCode` for the others.
EXIT_CODES: dict[Outcome, int] = {
    "PASS": ExitCode.DONE,
    "FAIL": ExitCode.NEGATIVE,
    "INCONCLUSIVE": ExitCode.BAD_INPUT,
}


@dataclass(frozen=True)
class Verdict:
    """One limit of one network in one setting.

    ``figure``, ``low``, ``high`` and ``allowed`` are in ``unit``, or None if not applicable. ``sentence`` sums it up.
    """

    limit: str
    subject: str
    outcome: Outcome
    sentence: str
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    allowed: float | None = None
    unit: str | None = None


def unknown(limit: str, subject: object, reason: str, allowed: float, unit: str) -> Verdict:
    """INCONCLUSIVE, for ``reason``."""
    sentence = f"{subject}: {reason}, limit {allowed:g} {unit}: INCONCLUSIVE."
    return Verdict(limit, str(subject), "INCONCLUSIVE", sentence, allowed=allowed, unit=unit)


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """FAIL if any is, else INCONCLUSIVE if any is or there are none, else PASS."""
    found = set(outcomes)
    if "FAIL" in found:
        return "FAIL"
    return "PASS" if found == {"PASS"} else "INCONCLUSIVE"
