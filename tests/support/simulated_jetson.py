"""The simulated Jetson of docker/simulated-jetson as a process of a test, and the truth that it logged.

::

    with simulated_jetson(tmp_path, trace="square:low_w=5,high_w=25,period_s=4") as jetson:
        ...  # jetson.socket for a jtop client, jetson.root for readers of sysfs
    jetson.energy_j(start_s, end_s)  # of what was written between two times of time.monotonic()

Needs root, and jetson-stats in the Python that runs the test: `make test-jtop` brings both together.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.agent_process import AgentProcess, running_agent
from support.agents import eventually

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "docker" / "simulated-jetson" / "run.py"


#: Ten readings a second in place of two. The first client of a service says how often it reads: agent and worker both.
_BRISK = "from gdws_agent.power import jtop_client; jtop_client.INTERVAL_S = 0.1"


class _BriskWorker:
    command = (
        sys.executable,
        "-c",
        f"{_BRISK}; import sys; from gdws_agent.measuring.worker import main; sys.exit(main())",
    )


def brisk_agent(data: Path, jetson: SimulatedJetson) -> contextlib.AbstractContextManager[AgentProcess]:
    """An agent on the board for tests that need some energy rather than an exact one: it needs a fifth of the time."""
    return running_agent(data, _BriskWorker(), f"--jtop-socket={jetson.socket}", prelude=_BRISK)


def _is_newest() -> bool:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("jetson-stats").startswith("7.")
    return False


#: Under the newest release of jetson-stats alone: what the agent makes of what sensor and clocks tell. What these
#: tell, and how they lose the service and find it again, is tested under each release.
one_release_is_enough = pytest.mark.skipif(not _is_newest(), reason="one release of jetson-stats is enough for this")


def require_jtop() -> None:
    """Skip the test where no jtop service can run."""
    if importlib.util.find_spec("jtop") is None:
        pytest.skip("jetson-stats is not installed here: make test-jtop")
    if os.geteuid() != 0:
        pytest.skip("the simulated Jetson needs root, as jtop's service does")


def other_releases() -> dict[str, Path]:
    """Return release -> Python of each environment of `make test-jtop` but this one."""
    found = {path.name: path / "bin" / "python" for path in PROJECT.glob(".venv-jtop-*")}
    pythons = {name.rpartition("-")[2]: python for name, python in found.items() if python.exists()}
    return {release: python for release, python in pythons.items() if str(python.parent.parent) != sys.prefix}


@dataclass
class SimulatedJetson:
    """A simulated Jetson that runs, or ran: its tree, its socket and its log outlive it."""

    folder: Path
    trace: str
    arguments: tuple[str, ...] = ()
    python: Path = Path(sys.executable)
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        """The tree in place of ``/sys``."""
        return self.folder / "sys"

    @property
    def socket(self) -> Path:
        """The socket of the jtop service."""
        return self.folder / "jtop.sock"

    def start(self) -> None:
        """Start it, or start it again, and return when clients can connect. Its log begins anew."""
        command = [str(self.python), str(SCRIPT), "--root", str(self.root), "--socket", str(self.socket)]
        command += ["--trace", self.trace, "--log", str(self._log), *self.arguments]
        with (self.folder / "messages.txt").open("a") as messages:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=messages, text=True, start_new_session=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready"):
            self.kill()
            messages_text = (self.folder / "messages.txt").read_text()
            if "a mount namespace is needed" in messages_text:
                pytest.skip(f"the simulated Jetson cannot run here: {messages_text.splitlines()[-1]}")
            raise AssertionError(f"the simulated Jetson does not start:\n{messages_text}")

    def stop(self) -> None:
        """End it as systemd would end jtop's service; nothing is left behind but its files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=15)
            finally:
                self.kill()

    def kill(self) -> None:
        """End it at once and all of its processes, as a crash would, and return when nobody listens any more."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
            eventually(lambda: not _listens(self.socket))

    def energy_j(self, start_s: float, end_s: float, column: str = "total_mw") -> float:
        """Return the exact energy in J between two times of ``time.monotonic()``, by the log.

        ``column`` is ``total_mw`` or a rail's, e.g. ``GPU_mw``.
        """
        with self._log.open(newline="") as file:
            rows = list(csv.DictReader(file))
        times_s = [float(row["monotonic_s"]) for row in rows]
        if start_s < times_s[0]:
            raise ValueError("the log begins after the start")
        first, last = bisect_right(times_s, start_s) - 1, bisect_right(times_s, end_s)
        edges_s = [start_s, *times_s[first + 1 : last], end_s]
        powers_w = [float(row[column]) / 1e3 for row in rows[first:last]]
        return sum(
            power_w * (after_s - before_s)
            for power_w, before_s, after_s in zip(powers_w, edges_s[:-1], edges_s[1:], strict=True)
        )

    def mean_power_w(self, start_s: float, end_s: float, column: str = "total_mw") -> float:
        """Return the exact mean power in W between two times of ``time.monotonic()``, by the log."""
        return self.energy_j(start_s, end_s, column) / (end_s - start_s)

    @property
    def _log(self) -> Path:
        return self.folder / "power.csv"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def simulated_jetson(
    folder: Path, trace: str = "constant", *arguments: str, python: Path | None = None
) -> Iterator[SimulatedJetson]:
    """Yield a simulated Jetson that runs, with its files in ``folder``; it ends with the context.

    ``python`` has the jetson-stats of its service, by default the one that runs the test.
    """
    require_jtop()
    jetson = SimulatedJetson(folder, trace, arguments, python or Path(sys.executable))
    jetson.start()
    try:
        yield jetson
    finally:
        jetson.stop()
