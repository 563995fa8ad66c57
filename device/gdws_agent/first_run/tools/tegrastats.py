"""``tegrastats``, the reference for power that every Jetson has: started, read, and its lines understood.

A rail is printed as ``VDD_IN 4536mW/4536mW``, the present power, then the mean since the start; JetPack 4 leaves
out the unit, some releases the mean. Other pairs, such as ``RAM 3045/31919MB``, have other units.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from .program import end_session, start_program

NAME = "tegrastats"
PLACES = ("/usr/bin/tegrastats", "/usr/sbin/tegrastats")
INTERVAL_S = 0.5

_RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) (?:(\d+)mW(?:/\d+mW)?|(\d+)/\d+)(?!\S)")
#: The name of a channel that is not connected.
_UNCONNECTED = "NC"


class Turns(NamedTuple):
    """The rails of one line, in watts, and when it came, by ``time.monotonic``."""

    time_s: float
    rails_w: Dict[str, float]


def parse_rails(line: str) -> Dict[str, float]:
    """Return the power of each rail in ``line``, in watts; empty if it has none."""
    return {
        name: int(power or power_without_unit) / 1e3
        for name, power, power_without_unit in _RAIL.findall(line)
        if name != _UNCONNECTED
    }


class Tegrastats:
    """One tegrastats, read in a thread of its own from :meth:`start` to :meth:`stop`."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._thread: Optional[threading.Thread] = None
        self.lines: List[Turns] = []
        #: The last line as printed, for the report.
        self.last = ""

    def start(self) -> None:
        """Start it. Raises CheckFailed when it cannot be started."""
        command = [str(self._program), "--interval", str(round(INTERVAL_S * 1e3))]
        self._process = start_program(command)
        self._thread = threading.Thread(target=self._read, args=(self._process,), name=NAME, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it and everything that it started; do nothing where it was not started."""
        process, self._process = self._process, None
        if process is None:
            return
        end_session(process)
        assert self._thread is not None
        self._thread.join()
        assert process.stdout is not None
        process.stdout.close()

    def means_w(self, start_s: float, end_s: float) -> Dict[str, float]:
        """Return the mean power of each rail over the lines that came between two times."""
        seen = [line.rails_w for line in self.lines if start_s <= line.time_s <= end_s]
        names = {name for rails in seen for name in rails}
        values = {name: [rails[name] for rails in seen if name in rails] for name in names}
        return {name: sum(each) / len(each) for name, each in values.items()}

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            text = raw.decode("utf-8", "replace").strip()
            self.last = text or self.last
            rails_w = parse_rails(text)
            if rails_w:
                self.lines.append(Turns(time.monotonic(), rails_w))
