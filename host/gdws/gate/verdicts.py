"""The outcome of one limit, and of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]

#: What the command returns; 3 is a device that could not serve.
EXIT_CODES: dict[Outcome, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}


@dataclass(frozen=True)
class Verdict:
    """One limit of one network in one setting.

    ``figure``, ``low``, ``high`` and ``allowed`` are in ``unit``; what does not apply is None. ``sentence`` says all.
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


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """FAIL if any is, else INCONCLUSIVE if any is or there are none, else PASS."""
    found = set(outcomes)
    if "FAIL" in found:
        return "FAIL"
    return "PASS" if found == {"PASS"} else "INCONCLUSIVE"
