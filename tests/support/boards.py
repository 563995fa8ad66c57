"""A board whose power mode and clocks can be set, without hardware. Runs on Python 3.8."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gdws_agent.board.clocks import Clocks, ClockState, Sighting
from gdws_agent.errors import ClocksUnavailable

MODES = ["MAXN", "MODE_10W", "MODE_15W", "MODE_30W"]


class Board:
    """A board that takes a few looks to do what it is asked, as jtop's service does.

    Entering a mode with fixed clocks on frees and fixes them again. ``reboot_modes`` are refused. A ``deaf`` board
    takes no notice of what it is asked. ``fails_at`` is the number of the call at which the service is gone, and
    ``gone`` is whether it is gone for good. ``on_look`` is called at each look.
    """

    def __init__(
        self,
        power_mode: str | None = "MODE_15W",
        jetson_clocks: bool | None = False,
        reboot_modes: Sequence[str] = ("MODE_10W",),
        delay: int = 3,
    ) -> None:
        self.state = ClockState(power_mode=power_mode, jetson_clocks=jetson_clocks)
        self.asked: list[dict[str, Any]] = []
        self.fails_at: int | None = None
        self.gone = False
        self.deaf = False
        self.calls = 0
        self.on_look: Callable[[], None] = lambda: None
        self._reboot_modes = reboot_modes
        self._delay = delay
        self._pending: dict[str, Any] | None = None
        self._looks_left = 0

    @contextlib.contextmanager
    def connect(self) -> Iterator[Board]:
        self._call()
        yield self

    def power_modes(self) -> list[str]:
        return MODES if self.state.power_mode is not None else []

    def needs_reboot(self, power_mode: str) -> bool:
        return power_mode in self._reboot_modes

    def look(self) -> Sighting:
        self._call()
        self.on_look()
        if self._pending is not None:
            self._looks_left -= 1
            if self._looks_left <= 0:
                self.state, self._pending = self.state.model_copy(update=self._pending), None
        # The command is in the queue for the first look, and under way from then on.
        return Sighting(self.state, busy=0 < self._looks_left < self._delay)

    def ask_power_mode(self, power_mode: str) -> None:
        self._ask(power_mode=power_mode)

    def ask_jetson_clocks(self, on: bool) -> None:
        self._ask(jetson_clocks=on)

    def _ask(self, **change: Any) -> None:
        self._call()
        self.asked.append(change)
        if not self.deaf:
            self._pending, self._looks_left = change, self._delay

    def _call(self) -> None:
        self.calls += 1
        if self.gone or self.fails_at == self.calls:
            raise ClocksUnavailable("the service is gone", hint="start it")


def clocks_of(board: Board, state_file: Path, **options: Any) -> Clocks:
    """Return clocks that set ``board``; their time is counted in looks at it."""
    ticks = iter(range(1_000_000))
    defaults = {"boot_id": "first", "timeout_s": 20, "clock": lambda: next(ticks)}
    return Clocks(board.connect, state_file, **{**defaults, **options})
