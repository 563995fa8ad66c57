"""Limits on figures that each run tells once and that no spread is known of: missed deadlines, memory. Pure.

PASS if every run is within the limit, FAIL if every run, two at least, is beyond it, else INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gdws.gate.figures import Subject
from gdws.gate.limits import Limits
from gdws.gate.verdicts import Outcome, Verdict, unknown
from gdws_contract.findings import text
from gdws_contract.rest import Cell


@dataclass(frozen=True)
class RunLimit:
    """``figure`` reads a cell, in ``unit``; None where it is not known, of which ``reason`` tells why."""

    name: str
    words: str
    unit: str
    figure: Callable[[Cell], float | None]
    reason: Callable[[Cell], str | None]


def run_verdicts(limits: Limits, subject: Subject, cells: Sequence[Cell]) -> list[Verdict]:
    """The verdicts on one subject, from its cell of each run."""
    return [
        _verdict(limit, subject, cells, getattr(limits, limit.name))
        for limit in RUN_LIMITS
        if getattr(limits, limit.name) is not None
    ]


def _verdict(limit: RunLimit, subject: Subject, cells: Sequence[Cell], allowed: float) -> Verdict:
    found = [limit.figure(cell) for cell in cells]
    known = [figure for figure in found if figure is not None]
    if not known or len(known) < len(found):
        silent = next((cell for cell, figure in zip(cells, found, strict=True) if figure is None), None)
        why = None if silent is None else limit.reason(silent)
        reason = f"{limit.words}: not known in every run{'' if why is None else f' ({why})'}"
        return unknown(limit.name, subject, reason, allowed, limit.unit)
    low, high = min(known), max(known)
    outcome: Outcome = "INCONCLUSIVE"
    if high <= allowed:
        outcome = "PASS"
    elif low > allowed and len(known) >= 2:
        outcome = "FAIL"
    shown = " to ".join(dict.fromkeys((text.significant(low), text.significant(high))))
    sentence = (
        f"{subject}: {limit.words} {shown} {limit.unit} in {text.plural(len(known), 'run')}, limit {allowed:g} "
        f"{limit.unit}: {outcome}."
    )
    return Verdict(limit.name, str(subject), outcome, sentence, high, low, high, allowed, limit.unit)


def _miss_percent(cell: Cell) -> float | None:
    run = None if cell.paced is None else cell.paced.run
    return None if run is None else 100 * run.missed.value


def _why_no_misses(cell: Cell) -> str | None:
    failed = next((flag.detail for flag in cell.flags if flag.code == "paced-failed"), None)
    return failed or ("the agent reports no paced inferences" if cell.state == "done" else None)


def _memory_mib(cell: Cell) -> float | None:
    total = None if cell.memory is None else cell.memory.total_peak_bytes
    return None if total is None else total / 2**20


def _why_no_memory(cell: Cell) -> str | None:
    if cell.memory is None:
        return "the agent does not tell" if cell.state == "done" else None
    return cell.memory.why_unknown


RUN_LIMITS = (
    RunLimit("max_miss_rate_percent", "deadlines missed", "%", _miss_percent, _why_no_misses),
    RunLimit("max_memory_mib", "peak memory", "MiB", _memory_mib, _why_no_memory),
)
