"""Kills the coordinator and the agents of a sweep at random moments, and checks that nothing is lost or doubled.

    python tests/e2e/fleet_kills.py --kills 100

Agents and coordinator are real processes, and the agents measure with ONNX Runtime. Each kill is SIGKILL to one of
them at a random moment; it is then started again on what is left. At the end every device has measured every cell, in
one job for each job of the sweep; its agent was killed between the two times that a cell was measured, if it was; and
the report is that of a sweep that was left alone, but for the figures that were measured. Prints a summary in JSON and
exits with 1 when any of this does not hold.
"""

from __future__ import annotations

import difflib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gdws.fleet.folder import RECORD, open_folder
from gdws.fleet.reporting import measurements
from gdws.results.report.fleet import render_fleet_report
from gdws_contract.rest import BenchmarkResult
from support.agent_process import AgentProcess
from support.bundles import tiny_bundle
from support.kills import Lost, main

#: Never give up a group: here it is not to blame for the end of the agent.
_AGENT = ("--max-interruptions=1000000", "--confine-workers=false")
_SWEEP = """
bundles = ["net.gdws"]
[retries]
first_s = 0.2
longest_s = 1.0
tries = 1000
[[measure]]
threads = {threads}
[measure.request]
batch_sizes = {batch_sizes}
backends = ["onnxruntime"]
[measure.request.protocol]
rounds = 2
min_duration_ms = 20
min_iterations = 2
warmup_ms = 0
warmup_max_ms = 0
"""
#: How a coordinator ends that did what it could; 3: it set a device aside.
_FINISHED, _SET_ASIDE = 0, 3

Draw = Callable[[], "tuple[float, str] | None"]


class Size(NamedTuple):
    """How large a sweep is: its cells are devices x threads x batch sizes x 2 networks."""

    devices: int = 4
    threads: int = 5
    batch_sizes: tuple[int, ...] = (1, 2, 3, 4, 6)

    @property
    def cells(self) -> int:
        """The number of cells."""
        return self.devices * self.threads * len(self.batch_sizes) * 2


#: Four devices, 200 cells.
WHOLE = Size()


class Summary(NamedTuple):
    """What a run came to."""

    kills: dict[str, int]
    sweeps: int
    cells: int
    measured_again: int
    seconds: float


class Recording:
    """A worker command that records what it measures."""

    def __init__(self, log: Path) -> None:
        self.log = log
        script = Path(__file__).resolve().parents[1] / "support" / "recording_worker.py"
        self.command = [sys.executable, str(script), str(log)]

    def entries(self) -> list[dict[str, Any]]:
        """What was measured, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


class Place:
    """The data folders of agents, and the folder of a sweep."""

    def __init__(self, folder: Path, size: Size) -> None:
        folder.mkdir()
        self.folder = folder
        self.names = [f"d{index}" for index in range(size.devices)]
        self.workers = {name: Recording(folder / f"{name}.measured") for name in self.names}
        self.killed_at_s: dict[str, list[float]] = defaultdict(list)
        tiny_bundle(folder / "net.gdws")
        threads = list(range(1, size.threads + 1))
        (folder / "SWEEP.toml").write_text(_SWEEP.format(threads=threads, batch_sizes=list(size.batch_sizes)))

    def agent(self, name: str, port: int = 0) -> AgentProcess:
        """An agent on its data folder, at an address of its own or at the one of its predecessor."""
        options = (*_AGENT, f"--port={port}")
        return AgentProcess(self.folder / name, self.workers[name], *options, environment={"OMP_NUM_THREADS": "1"})

    def coordinator(self) -> subprocess.Popen[bytes]:
        """``gdws fleet`` in a process of its own, from the start or from what is left."""
        out = self.folder / "fleet"
        if (out / RECORD).exists():
            command = ["resume", str(out)]
        else:
            files = ["--devices", self.folder / "devices.toml", "--out", out]
            command = ["run", str(self.folder / "SWEEP.toml"), *map(str, files)]
        with (self.folder / "coordinator.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "gdws", "fleet", *command, "--reconnect", "5"], stdout=log, stderr=log
            )

    def report(self) -> str:
        """The report over the devices, each figure that was measured replaced by one that its device and cell give."""
        folder = open_folder(self.folder / "fleet")
        found = [
            replace(each, result=_with_figures_of_its_cells(each.device, each.result)) for each in measurements(folder)
        ]
        return render_fleet_report(found, [], ".md")

    def cells(self) -> int:
        """The number of cells that were measured, by the results."""
        results = [result for _, _, result in open_folder(self.folder / "fleet").results() if not result.partial]
        return sum(cell.state == "done" for result in results for cell in result.job.cells)

    def measured_again(self) -> int:
        """How many cells were measured again, each after a kill of its agent; raises Lost where there was none."""
        again = 0
        for name, worker in self.workers.items():
            seen: dict[str, float] = {}
            for entry in worker.entries():
                key = json.dumps([entry["job"], entry["cell"]], sort_keys=True)
                if key in seen:
                    again += 1
                    if not any(seen[key] - 1.0 < at_s < entry["at_s"] for at_s in self.killed_at_s[name]):
                        raise Lost(f"{name} measured {key} again, and nobody had killed it")
                seen[key] = entry["at_s"]
        return again

    def jobs(self) -> Counter[str]:
        """The number of jobs of each device that measured something."""
        return Counter({name: len({entry["job"] for entry in w.entries()}) for name, w in self.workers.items()})


def _with_figures_of_its_cells(device: str, result: BenchmarkResult) -> BenchmarkResult:
    cells = []
    for cell in result.job.cells:
        assert cell.latency is not None
        drawn = random.Random(f"{device} {result.job.request.protocol.threads} {cell.key.model_dump_json()}")
        median_ms = drawn.uniform(1.0, 2.0)
        latency = cell.latency.model_copy(update={"median_ms": median_ms})
        rounds = [each.model_copy(update={"median_ms": median_ms * drawn.uniform(0.9, 1.1)}) for each in cell.rounds]
        figures = {"latency": latency, "rounds": rounds, "fps": 1e3 / median_ms, "speedup": None, "flags": []}
        cells.append(cell.model_copy(update=figures))
    return result.model_copy(update={"job": result.job.model_copy(update={"cells": cells})})


def follow(place: Place, draw: Draw, count: Counter[str]) -> None:
    """Let a sweep run to its end; ``draw`` says when which process is killed next, if one is."""
    agents = {name: place.agent(name) for name in place.names}
    ports = {name: int(agent.url.rpartition(":")[2]) for name, agent in agents.items()}
    lines = [f'[devices.{name}]\nurl = "{agent.url}"\n' for name, agent in agents.items()]
    (place.folder / "devices.toml").write_text("\n".join(lines))
    coordinator = place.coordinator()
    try:
        while True:
            cut = draw()
            try:
                status = coordinator.wait(None if cut is None else cut[0])
            except subprocess.TimeoutExpired:
                assert cut is not None
                count["coordinator" if cut[1] == "coordinator" else "agent"] += 1
                if cut[1] == "coordinator":
                    coordinator.kill()
                    coordinator.wait()
                    coordinator = place.coordinator()
                else:
                    agents[cut[1]].close()
                    place.killed_at_s[cut[1]].append(time.time())
                    agents[cut[1]] = place.agent(cut[1], ports[cut[1]])
                continue
            if status == _FINISHED:
                return
            if status != _SET_ASIDE:
                raise Lost(f"it ended with {status}: {(place.folder / 'coordinator.log').read_text()[-3000:]}")
            coordinator = place.coordinator()
    finally:
        coordinator.kill()
        coordinator.wait()
        for agent in agents.values():
            agent.close()


def run(folder: Path, kills: int, seed: int, size: Size = WHOLE, longest_s: float = 4.0) -> Summary:
    """Kill so often, in as many sweeps as that takes, at most ``longest_s`` apart; raises Lost."""
    began_s, drawn = time.monotonic(), random.Random(seed)
    count: Counter[str] = Counter()
    alone = Place(folder / "alone", size)
    follow(alone, lambda: None, count)
    expected = alone.report()
    if alone.cells() != size.cells or alone.measured_again():
        raise Lost(f"a sweep that was left alone has {alone.cells()} cells")

    again = sweeps = 0
    while count.total() < kills or not sweeps:
        place = Place(folder / f"killed-{sweeps}", size)

        def draw(names: list[str] = place.names) -> tuple[float, str] | None:
            if count.total() >= kills:
                return None
            return drawn.uniform(0.2, longest_s), drawn.choice(["coordinator", drawn.choice(names)])

        follow(place, draw, count)
        sweeps += 1
        if place.report() != expected:
            raise Lost("".join(difflib.unified_diff(expected.splitlines(True), place.report().splitlines(True))))
        if set(place.jobs().values()) != {size.threads}:
            raise Lost(f"{size.threads} jobs were wanted of each device, and there were {place.jobs()}")
        again += place.measured_again()
        print(f"{sweeps} sweeps, {dict(count)}, {again} cells measured again", file=sys.stderr, flush=True)
    return Summary(dict(count), sweeps, sweeps * size.cells, again, round(time.monotonic() - began_s, 1))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(__doc__, 100, run))
