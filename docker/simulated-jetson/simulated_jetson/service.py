"""jetson-stats' own service, pointed at the simulated tree.

The service itself is not changed: with ``JTOP_TESTING`` set it reads ``/fake_sys`` in place of
``/sys``. What it takes from elsewhere on the machine is replaced here: the hardware record, the
temperatures (read from ``/sys`` even then), the socket, the group that owns it, the folder of its
settings, and the programs ``nvpmodel`` and ``jetson_clocks``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import board, commands

#: Where jetson-stats looks when it is being tested.
TESTING_ROOT = Path("/fake_sys")

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x00020000, 0x1000, 0x4000, 0x40000


def expose(root: Path) -> None:
    """Make ``root`` appear at :data:`TESTING_ROOT`, for this process and its children alone.

    The mount lives in a mount namespace of its own, so that several simulators can run on one
    machine, and it vanishes with the process.

    Raises:
        OSError: the process may not mount; in a container without that right the tree must be at
            :data:`TESTING_ROOT` itself.
    """
    if root.resolve() == TESTING_ROOT.resolve():
        return
    TESTING_ROOT.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS))
    _check(libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    _check(libc.mount(os.fsencode(root.resolve()), os.fsencode(TESTING_ROOT), None, _MS_BIND, None))


def create_server(root: Path, socket: Path, gid: int, version: str | None = None) -> Any:
    """Return a ``jtop.service.JtopServer`` that serves the tree at :data:`TESTING_ROOT`, not yet started.

    ``socket`` is the path it will listen at, owned by group ``gid``. ``version``, where given, is
    what the service claims to be, to show a client what a mismatch looks like.

    Raises:
        ImportError: jetson-stats is not installed.
        jtop.JtopException: the service cannot run here, e.g. not as root.
    """
    os.environ["JTOP_TESTING"] = "true"
    from jtop import service
    from jtop.core import config, jetson_clocks

    programs = root / "bin"
    commands.install(programs, root)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    jetson_clocks.PATH_JETSON_CLOCKS = [str(programs / "jetson_clocks")]
    config.get_config_service = lambda *_: str(root / "jtop")
    service.JTOP_PIPE = str(socket)
    service.getgrnam = lambda _: _Group(gid)
    service.get_hardware = _hardware
    service.TemperatureService = _temperature_service()

    server = service.JtopServer(force=True)
    if version is not None:
        server._version = version
    return server


class _Group:
    def __init__(self, gid: int) -> None:
        self.gr_gid = gid


def _hardware() -> Mapping[str, str]:
    return dict(board.HARDWARE)


def _temperature_service() -> type:
    from jtop.core import temperature

    class TemperatureService(temperature.TemperatureService):  # type: ignore[misc]
        """Jetson-stats' own, searching the simulated tree."""

        def __init__(self) -> None:
            zones = str(TESTING_ROOT / "devices" / "virtual" / "thermal")
            found = temperature.get_virtual_thermal_temperature(zones)
            self._temperature = dict(sorted(found.items(), key=lambda item: item[0].lower()))

    return TemperatureService


def _check(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: a mount namespace is needed, or the tree at {TESTING_ROOT}")
