"""Shows how far each device of a sweep is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text

from gdws._util.visible_text import visible
from gdws.cli.views.output import errors
from gdws.fleet.states import DeviceState, Phase

COLUMNS = ("device", "state", "jobs", "cells", "measuring", "reason")


class LiveFleet:
    """The table of the devices on a terminal, a line for each change elsewhere; ``quiet`` shows nothing.

    ``jobs`` are the numbers of jobs by device.
    """

    def __init__(self, jobs: Mapping[str, int], *, quiet: bool) -> None:
        self._jobs = jobs
        self._quiet = quiet
        self._console = errors()
        self._live = (
            Live(console=self._console, auto_refresh=False) if self._console.is_terminal and not quiet else None
        )
        self._said: dict[str, str] = {}

    def __enter__(self) -> LiveFleet:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, states: Mapping[str, DeviceState]) -> None:
        """Show where the devices stand."""
        if self._live is not None:
            self._live.update(_table(fleet_rows(states, self._jobs)), refresh=True)
            return
        for device, state in states.items():
            said = f"{state.phase.value}{'' if state.reason is None else f': {state.reason}'}"
            if self._said.get(device) != said and not self._quiet:
                self._console.print(f"{device}: {said}, {_jobs(state, self._jobs[device])}", markup=False)
            self._said[device] = said


def fleet_rows(states: Mapping[str, DeviceState], jobs: Mapping[str, int]) -> list[list[str]]:
    """A row of :data:`COLUMNS` for each device."""
    return [
        [
            device,
            state.phase.value,
            f"{state.tally.jobs}/{jobs[device]}",
            _cells(state),
            "-" if state.job is None or state.phase.is_final else _job(state),
            _reason(state),
        ]
        for device, state in states.items()
    ]


def _jobs(state: DeviceState, jobs: int) -> str:
    return f"{state.tally.jobs} of {jobs} jobs, {_cells(state)} cells"


def _cells(state: DeviceState) -> str:
    failed = f" ({state.tally.failed_cells} failed)" if state.tally.failed_cells else ""
    return f"{state.tally.cells + state.job_cells}{failed}"


def _job(state: DeviceState) -> str:
    return f"{state.job} {state.job_cells}/{'?' if state.job_cells_total is None else state.job_cells_total}"


def _reason(state: DeviceState) -> str:
    if state.reason is None:
        missing = len(state.tally.not_measured)
        return f"{missing} not measured" if missing else "-"
    if state.phase is Phase.RETRYING and state.next_try is not None:
        return f"{state.reason}; next try at {state.next_try[11:19]}Z"
    return state.reason


def _table(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table
