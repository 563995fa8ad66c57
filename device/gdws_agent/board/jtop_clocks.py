"""Sets power mode and clocks through the jtop service, which runs as root on the host."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence

from gdws_agent.errors import ClocksUnavailable
from gdws_agent.gpu_clocks import are_fixed
from gdws_agent.power import jtop_client
from gdws_agent.power.jtop_client import JtopFailed

from .clocks import ClockControl, ClockState, Sighting

#: The service polls the board once or twice a second, and not at all while it runs a command.
LOOK_TIMEOUT_S = 15.0


def check(socket: Optional[Path] = None) -> None:
    """Look for what keeps power mode and clocks from being set here, without connecting.

    Raises:
        ClocksUnavailable: jetson-stats is not installed, or there is no socket that this user may use.
    """
    with _explained():
        jtop_client.check_installed()
        jtop_client.check_socket(socket or jtop_client.socket_path())


@contextlib.contextmanager
def connect(socket: Optional[Path] = None, sysfs: Path = Path("/sys")) -> Iterator[ClockControl]:
    """Give the control of the board's clocks over a connection of its own; ``sysfs`` shows whether they are fixed.

    Not while a power sensor is connected: two clients take each other's beats away.

    Raises:
        ClocksUnavailable: there is no connection.
    """
    beat = _Beat()
    with _explained():
        client = jtop_client.connect(socket or jtop_client.socket_path(), beat.hear)
    try:
        yield JtopClocks(client, beat, sysfs)
    finally:
        jtop_client.disconnect(client)


class JtopClocks:
    """See :class:`~gdws_agent.board.clocks.ClockControl`; ``beat`` tells when ``client`` has fresh data."""

    def __init__(self, client: Any, beat: _Beat, sysfs: Path) -> None:
        self._sysfs = sysfs
        self._client = client
        self._beat = beat

    def power_modes(self) -> Sequence[str]:
        """Return the names of the modes, by number."""
        return [] if self._client.nvpmodel is None else list(self._client.nvpmodel.models)

    def needs_reboot(self, power_mode: str) -> bool:
        """Return whether the service would refuse the mode. Before jetson-stats 4.3 it knows once it has tried."""
        position = self.power_modes().index(power_mode)
        status = self._client.nvpmodel.status
        return position < len(status) and not status[position]

    def look(self) -> Sighting:
        """Wait for the next beat."""
        self._beat.wait()
        try:
            return self._seen()
        except Exception as error:
            raise ClocksUnavailable(
                f"the jtop service sent an invalid response: {jtop_client.words(error)}",
                hint=jtop_client.RESTART,
            ) from error

    def ask_power_mode(self, power_mode: str) -> None:
        """Request a mode."""
        self._ask(lambda: self._client.nvpmodel.set_nvpmodel_name(power_mode))

    def ask_jetson_clocks(self, on: bool) -> None:
        """Request fixed or free clocks."""
        self._ask(lambda: self._client.jetson_clocks.set_enable(on))

    def _seen(self) -> Sighting:
        mode, clocks = self._client.nvpmodel, self._client.jetson_clocks
        state = ClockState(
            power_mode=None if mode is None else mode.name,
            jetson_clocks=None if clocks is None else bool(clocks.get_enable()) and not self._are_free(),
        )
        changing = clocks is not None and clocks.get_status() in ("booting", "activating", "deactivating")
        return Sighting(state, busy=changing or (mode is not None and mode.is_running()))

    def _are_free(self) -> bool:
        """Return whether the kernel shows that clocks are not fixed.

        jtop looks for engines called GPU, finds none on Thor, and tells that clocks are fixed there whatever holds.
        """
        return are_fixed(self._sysfs) is False

    def _ask(self, command: Callable[[], None]) -> None:
        try:
            command()
        except Exception as error:
            raise ClocksUnavailable(
                f"the jtop service rejected the command: {jtop_client.words(error)}", hint=jtop_client.RESTART
            ) from error


class _Beat:
    """Distinguishes fresh data of the service from old data that the client returns again."""

    def __init__(self) -> None:
        self._fresh = threading.Event()
        self._last_uptime_s = 0.0

    def hear(self, client: Any) -> None:
        """Record an answer; runs in the client's thread."""
        uptime_s = client.uptime.total_seconds()
        if uptime_s > self._last_uptime_s:
            self._last_uptime_s = uptime_s
            self._fresh.set()

    def wait(self) -> None:
        """Wait for the next fresh answer; raises ClocksUnavailable."""
        self._fresh.clear()
        if not self._fresh.wait(LOOK_TIMEOUT_S):
            raise ClocksUnavailable("the jtop service gives no fresh data", hint=jtop_client.RESTART)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except JtopFailed as error:
        raise ClocksUnavailable(error.message, hint=error.hint) from error
