"""Power mode and clocks: set, held, and given back."""

from __future__ import annotations

import time
from typing import List, Optional, Tuple

from gdws_agent.board.clocks import ClockState
from gdws_agent.errors import ClocksError, ClocksUnavailable, PowerModeNeedsReboot
from gdws_agent.first_run.bench import Bench
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Figure, Outcome, Table, Value
from gdws_agent.power.thermal import Conditions, Gauges

_HOLD_S, _QUICK_HOLD_S = 10.0, 2.0


def check_clocks(bench: Bench) -> Outcome:
    """Enter another power mode, if one needs no reboot, fix the clocks, look again later, and give both back."""
    try:
        bench.clocks.restore()  # what a run before this one could not
        found = bench.clocks.take(None, None, give_up=bench.deadline.passed)
        modes, others = _modes(bench, found)
    except ClocksUnavailable as error:
        raise CheckSkipped(f"power mode and clocks cannot be set here: {error.message}", *_hint(error)) from error
    gauges = Gauges(bench.root / "sys")
    try:
        try:
            taken = _take_another(bench, others)
            seen = gauges.read()
            time.sleep(_QUICK_HOLD_S if bench.quick else _HOLD_S)
            held = bench.clocks.take(None, None, give_up=bench.deadline.passed)
        finally:
            note = bench.clocks.restore()
        after = bench.clocks.take(None, None, give_up=bench.deadline.passed)
    except ClocksError as error:
        raise CheckFailed(error.message, *_hint(error), figures=_modes_figure(modes)) from error
    tables = [Table(title="States", columns=["when", "power mode", "clocks"], rows=_rows(found, taken, held, after))]
    figures = [*_modes_figure(modes), *_clock_figures(seen)]
    problem = _problem(found, taken, held, after)
    if problem is not None:
        raise CheckFailed(
            problem,
            "another program may set them, such as a service of the board's own: stop it while measuring",
            f"by hand: sudo nvpmodel -m ID; sudo jetson_clocks --restore; it was {_words(found)}",
            figures=figures,
            tables=tables,
        )
    if taken.power_mode == found.power_mode:
        return Outcome(
            status="warning",
            summary=f"clocks were fixed, held and given back in {found.power_mode}; no other mode is free of a reboot",
            figures=figures,
            tables=tables,
            advice=[] if note is None else [note],
        )
    return Outcome(
        status="ok",
        summary=f"{taken.power_mode} with fixed clocks held, and {_words(after)} was given back",
        figures=figures,
        tables=tables,
        advice=[] if note is None else [note],
    )


def _modes(bench: Bench, found: ClockState) -> Tuple[List[str], List[str]]:
    """Return the board's modes, and those other than the present that are not known to need a reboot."""
    with bench.connect_clocks() as control:
        modes = list(control.power_modes())
        others = [mode for mode in modes if mode != found.power_mode and not control.needs_reboot(mode)]
    return modes, others


def _take_another(bench: Bench, others: List[str]) -> ClockState:
    """Fix the clocks in the first of ``others`` that needs no reboot, else in the present mode; return the state.

    Before jetson-stats 4.3 the service knows of a reboot only once the mode was tried.
    """
    tried = (_take_without_reboot(bench, mode) for mode in others)
    return next(filter(None, tried), None) or bench.clocks.take(None, True, give_up=bench.deadline.passed)


def _take_without_reboot(bench: Bench, mode: str) -> Optional[ClockState]:
    try:
        return bench.clocks.take(mode, True, give_up=bench.deadline.passed)
    except PowerModeNeedsReboot:
        return None


def _problem(found: ClockState, taken: ClockState, held: ClockState, after: ClockState) -> Optional[str]:
    if held != taken:
        return f"{_words(taken)} did not hold: it is {_words(held)} some seconds later"
    if after != found:
        return f"{_words(found)} was found, and {_words(after)} given back"
    return None


def _clock_figures(seen: Conditions) -> List[Figure]:
    """Return each clock while all are fixed, beside the highest that it may go."""
    return [
        Figure(name=f"{name} clock, of {seen.limits_mhz.get(name, 0):.0f} MHz", value=mhz, unit="MHz")
        for name, mhz in sorted(seen.clocks_mhz.items())
    ]


def _modes_figure(modes: List[str]) -> List[Figure]:
    return [Figure(name="power modes", value=", ".join(modes) or None)]


def _rows(found: ClockState, taken: ClockState, held: ClockState, after: ClockState) -> List[List[Value]]:
    states = (("found", found), ("set", taken), ("later", held), ("given back", after))
    return [[when, state.power_mode, _clocks_words(state)] for when, state in states]


def _words(state: ClockState) -> str:
    return f"{state.power_mode} with {_clocks_words(state)} clocks"


def _clocks_words(state: ClockState) -> str:
    return {None: "unknown", True: "fixed", False: "free"}[state.jetson_clocks]


def _hint(error: ClocksError) -> List[str]:
    return [] if error.hint is None else [error.hint]
