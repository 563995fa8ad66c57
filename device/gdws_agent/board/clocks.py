"""Power mode (nvpmodel) and fixed clocks (jetson_clocks): set for a job and always restored.

Before the first change the state that was found is written to a file, and the file goes only when that state
holds again. So whatever ends a job, be it its end, a cancel, a crash of the agent or a power failure,
:meth:`Clocks.restore` at the end or at the agent's next start finds what to give back.

A power mode outlives a reboot, fixed clocks do not: after a reboot the mode alone is given back. A state that
somebody else chose meanwhile is left to them.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Callable, ContextManager, List, NamedTuple, Optional, Protocol, Sequence, Union

from pydantic import ValidationError

from gdws_agent.errors import (
    ClocksInterrupted,
    ClocksNotHeld,
    ClocksUnavailable,
    PowerModeNeedsReboot,
)
from gdws_contract.base import Record

from .power_modes import find_mode

_LOG = logging.getLogger(__name__)

#: Changing the mode with fixed clocks on takes three commands, each of which may be tried for some seconds.
HOLD_TIMEOUT_S = 60.0
#: A state is stable when it was seen this often in a row, with no change in progress.
HOLD_SIGHTINGS = 2
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ClockState(Record):
    """A power mode and whether clocks are fixed at their highest; None is unknown, or as it may be."""

    power_mode: Optional[str] = None
    jetson_clocks: Optional[bool] = None


class Sighting(NamedTuple):
    """The state of the board at one moment; ``busy`` while a change is in progress."""

    state: ClockState
    busy: bool


class ClockControl(Protocol):
    """Control of a board's power mode and clocks. Changes are requested, and observed once they take effect."""

    def power_modes(self) -> Sequence[str]:
        """Return the names of the board's power modes, by number; none where it has none."""

    def needs_reboot(self, power_mode: str) -> bool:
        """Return whether the board must reboot to enter a mode."""

    def look(self) -> Sighting:
        """Wait for the next fresh state of the board, and return it. Raises ClocksUnavailable."""

    def ask_power_mode(self, power_mode: str) -> None:
        """Request a mode. Raises ClocksUnavailable."""

    def ask_jetson_clocks(self, on: bool) -> None:
        """Request fixed or free clocks. Raises ClocksUnavailable."""


Connect = Callable[[], ContextManager[ClockControl]]


def _never() -> bool:
    return False


class Taken(Record):
    """The recovery file: the original state, the requested one, and the boot id."""

    former: ClockState
    asked: List[ClockState]
    boot_id: Optional[str]


class Clocks:
    """Power mode and clocks of the board. One at a time may change them.

    ``check`` looks, without connecting, for what keeps clocks from being set here; it raises ClocksUnavailable.
    """

    def __init__(
        self,
        connect: Connect,
        state_file: Path,
        *,
        check: Callable[[], None] = lambda: None,
        boot_id: Optional[str] = None,
        timeout_s: float = HOLD_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.check = check
        self._connect = connect
        self._file = state_file
        self._boot_id = boot_id or _read_boot_id()
        self._timeout_s = timeout_s
        self._clock = clock

    def is_taken(self) -> bool:
        """Return whether there is a state to restore."""
        return self._file.exists()

    def take(
        self,
        power_mode: Union[str, int, None],
        jetson_clocks: Optional[bool],
        give_up: Callable[[], bool] = _never,
    ) -> ClockState:
        """Put the board into a mode, by name or number, and its clocks on or off; None leaves a thing as it is.

        Return the state in force, which held when it was last looked at. ``give_up`` is asked from time to time
        whether to wait no longer.

        Raises:
            PowerModeUnknown, PowerModeNeedsReboot, ClocksUnavailable, ClocksNotHeld, ClocksInterrupted: as they
                say. Something may have been changed by then; :meth:`restore` is called in any case.
        """
        with self._connect() as control:
            wanted = ClockState(power_mode=_resolve(control, power_mode), jetson_clocks=jetson_clocks)
            found = self._settled(control, give_up)
            _check_possible(control, wanted, found)
            if _satisfies(found, wanted):
                return found
            taken = self._load() or Taken(former=found, asked=[], boot_id=self._boot_id)
            self._save(taken.model_copy(update={"asked": [*taken.asked, wanted]}))
            return self._apply(control, found, wanted, give_up)

    def restore(self) -> Optional[str]:
        """Restore the state before :meth:`take`; do nothing if nothing was changed.

        Return what the reader of the results should know, or None: that somebody else changed the state meanwhile.

        Raises:
            ClocksError: it could not be given back now. It is still on record, and can be tried again.
        """
        taken = self._load()
        if taken is None:
            return None
        wanted = taken.former
        if taken.boot_id != self._boot_id:
            wanted = ClockState(power_mode=wanted.power_mode)
        with self._connect() as control:
            found = self._settled(control)
            note = _changed_by_others(found, taken)
            if note is None and not _satisfies(found, wanted):
                self._apply(control, found, wanted)
        self._forget()
        _LOG.info("power mode and clocks: %s", note or f"given back, {wanted}")
        return note

    def _apply(
        self, control: ClockControl, state: ClockState, wanted: ClockState, give_up: Callable[[], bool] = _never
    ) -> ClockState:
        """Ask for what ``wanted`` is and ``state`` is not, and wait until it holds.

        Free clocks come before the mode: freeing them writes the limits that were stored in some earlier
        mode, and entering a mode writes its own over them. Fixed clocks come after it.
        """
        if wanted.jetson_clocks is False and state.jetson_clocks:
            control.ask_jetson_clocks(False)
            state = self._hold(control, ClockState(jetson_clocks=False), give_up)
        if wanted.power_mode is not None and state.power_mode != wanted.power_mode:
            control.ask_power_mode(wanted.power_mode)
            state = self._hold(control, ClockState(power_mode=wanted.power_mode), give_up)
        if wanted.jetson_clocks and not state.jetson_clocks:
            control.ask_jetson_clocks(True)
        return self._hold(control, wanted, give_up)

    def _settled(self, control: ClockControl, give_up: Callable[[], bool] = _never) -> ClockState:
        """Return the state once nothing is under way: what a dead agent asked for may be still to come."""
        return self._hold(control, ClockState(), give_up)

    def _hold(self, control: ClockControl, wanted: ClockState, give_up: Callable[[], bool]) -> ClockState:
        """Return the state once it was seen often enough in a row and is as ``wanted``."""
        deadline = self._clock() + self._timeout_s
        sightings: List[ClockState] = []
        while True:
            if give_up():
                raise ClocksInterrupted(f"the change to {_words(wanted)} was cancelled")
            state, busy = control.look()
            steady = not busy and _satisfies(state, wanted) and state in (sightings or [state])
            sightings = [*sightings, state] if steady else []
            if len(sightings) >= HOLD_SIGHTINGS:
                return state
            if not busy:
                _check_reboot(control, wanted, state)
            if self._clock() >= deadline:
                raise ClocksNotHeld(
                    f"waited {self._timeout_s:.0f} s for {_words(wanted)}, but the board has {_words(state)}",
                    hint="see the log of jtop.service on the host; clocks cannot be fixed during the first minute",
                )

    def _load(self) -> Optional[Taken]:
        try:
            return Taken.model_validate_json(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError, ValueError) as error:
            raise ClocksUnavailable(
                f"the record of the previous power mode and clocks, {self._file}, cannot be read: {error}",
                hint="set them by hand with nvpmodel and jetson_clocks, then remove the file",
            ) from error

    def _forget(self) -> None:
        try:
            self._file.unlink()
        except OSError as error:
            raise ClocksUnavailable(
                f"power mode and clocks are given back, but the record {self._file} of it stays: {error.strerror}",
                hint="make the data folder writable",
            ) from error

    def _save(self, taken: Taken) -> None:
        """Write the record atomically and durably."""
        new = self._file.with_name(self._file.name + ".new")
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(json.dumps(taken.model_dump()))
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._file)
            folder = os.open(str(self._file.parent), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ClocksUnavailable(
                f"nothing was changed, because the previous state cannot be recorded in {self._file}: {error.strerror}",
                hint="make room in the data folder, or make it writable",
            ) from error


def _resolve(control: ClockControl, power_mode: Union[str, int, None]) -> Optional[str]:
    return None if power_mode is None else find_mode(power_mode, list(control.power_modes()))


def _check_possible(control: ClockControl, wanted: ClockState, found: ClockState) -> None:
    if wanted.jetson_clocks is not None and found.jetson_clocks is None:
        raise ClocksUnavailable("jetson_clocks cannot be set on this board", hint="leave jetson_clocks out")
    _check_reboot(control, wanted, found)


def _check_reboot(control: ClockControl, wanted: ClockState, found: ClockState) -> None:
    mode = wanted.power_mode
    if mode is not None and mode != found.power_mode and control.needs_reboot(mode):
        number = list(control.power_modes()).index(mode)
        raise PowerModeNeedsReboot(
            f"the board must reboot to enter power mode {mode}, and the agent does not reboot it",
            hint=f"on the host: sudo nvpmodel -m {number}, and measure after the reboot",
        )


def _satisfies(state: ClockState, wanted: ClockState) -> bool:
    return wanted.power_mode in (None, state.power_mode) and wanted.jetson_clocks in (None, state.jetson_clocks)


def _changed_by_others(found: ClockState, taken: Taken) -> Optional[str]:
    ours = {taken.former.power_mode, *(asked.power_mode for asked in taken.asked)}
    if found.power_mode in ours:
        return None
    return f"another program put the board into power mode {found.power_mode} during the job; it was left there"


def _words(state: ClockState) -> str:
    clocks = {None: "", True: "jetson_clocks on", False: "jetson_clocks off"}[state.jetson_clocks]
    mode = f"power mode {state.power_mode}" if state.power_mode is not None else ""
    return " with ".join(part for part in (mode, clocks) if part) or "a state without changes"


def _read_boot_id() -> Optional[str]:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None
