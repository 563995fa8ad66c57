"""One sweep over doubles: its coordinators as processes, what they take of the machine, and what came of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from gdws.fleet.folder import RECORD, open_folder
from support.bundles import tiny_bundle

ROOT = Path(__file__).resolve().parents[2]
_MIB = 2**20


@dataclass(frozen=True)
class Size:
    """Devices, the jobs of each, and coordinators; each job is of two cells."""

    devices: int
    jobs: int
    coordinators: int = 2

    @property
    def at_once(self) -> int:
        """The devices of each coordinator, so that all have some."""
        return -(-self.devices // self.coordinators)


class Doubles:
    """The devices, in a process of their own."""

    def __init__(self, devices: int, cell_s: float) -> None:
        command = [sys.executable, "-m", "benchmarks.fleet.doubles", f"--devices={devices}", f"--cell-s={cell_s}"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.urls: dict[str, str] = self._read()

    def progress(self) -> dict[str, dict[str, int]]:
        """How far each device is."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        return self._read()

    def total(self) -> Counter[str]:
        """How far they are, all together."""
        found: Counter[str] = Counter()
        for each in self.progress().values():
            found.update(each)
        return found

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the doubles ended")
        return json.loads(line)


@dataclass
class Coordinator:
    """``gdws fleet`` in a process."""

    process: subprocess.Popen[bytes]
    rss_mib: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Note its memory, if it lives."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.rss_mib.append(psutil.Process(self.process.pid).memory_info().rss / _MIB)

    def cpu_s(self) -> float:
        """The processor time that it has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


class Sweep:
    """A sweep of ``size`` over ``doubles``; ``database`` is a URL of PostgreSQL, or None for SQLite."""

    def __init__(self, folder: Path, size: Size, doubles: Doubles, database: str | None) -> None:
        self.folder, self.size, self.doubles, self._database = folder, size, doubles, database
        self.coordinators: list[Coordinator] = []
        self.killed = 0
        tiny_bundle(folder / "net.gdws")
        (folder / "SWEEP.toml").write_text(
            f'bundles = ["net.gdws"]\n[[measure]]\nthreads = {list(range(1, size.jobs + 1))}\n'
        )
        devices = [f'[devices.{name}]\nurl = "{url}"\n' for name, url in doubles.urls.items()]
        (folder / "devices.toml").write_text("\n".join(devices))

    def start(self) -> Coordinator:
        """One more coordinator; the first makes the folder."""
        out = self.folder / "fleet"
        if (out / RECORD).exists():
            command = ["resume", str(out)]
        else:
            command = ["run", str(self.folder / "SWEEP.toml"), "--devices", str(self.folder / "devices.toml")]
            command += ["--out", str(out)]
        command += ["--quiet", f"--at-once={self.size.at_once}"]
        if self._database is not None:
            command += ["--database", self._database]
        with (self.folder / "coordinators.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "gdws", "fleet", *command], stdout=log, stderr=log)
        self.coordinators.append(Coordinator(process))
        return self.coordinators[-1]

    def start_all(self) -> None:
        """All coordinators, each after the first once there is a folder."""
        self.start()
        while not (self.folder / "fleet" / RECORD).exists():
            self._require(self.coordinators[0])
            time.sleep(0.1)
        for _ in range(self.size.coordinators - 1):
            self.start()

    def follow(self, kill_at: float | None = None) -> Iterator[Counter[str]]:
        """How far the devices are, about once a second, to the end; the last coordinator is killed at that share."""
        wanted = self.size.devices * self.size.jobs
        while any(each.process.poll() is None for each in self.coordinators):
            total = self.doubles.total()
            for each in self.coordinators:
                each.sample()
            last = self.coordinators[-1].process
            if kill_at is not None and not self.killed and total["jobs_done"] >= kill_at * wanted:
                self.killed += last.poll() is None
                last.kill()
            yield total
            time.sleep(1.0)
        self._require(self.coordinators[0])

    def results(self) -> Counter[str]:
        """The complete results by device."""
        stored = open_folder(self.folder / "fleet").results()
        return Counter(device for device, _, result in stored if result.job.state == "done" and not result.partial)

    def close(self) -> None:
        """End what still runs."""
        for each in self.coordinators:
            each.process.kill()
            each.process.wait()

    def _require(self, coordinator: Coordinator) -> None:
        if coordinator.process.poll():
            raise RuntimeError((self.folder / "coordinators.log").read_text()[-3000:])
