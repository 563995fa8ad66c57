"""Kills the host and the agent at random moments of ``gdws optimize``, and checks that it comes to the same plan.

    python tests/e2e/optimize_kills.py --kills 50

Host and agent are real processes; the agent's workers measure nothing, and give networks times by a law, so that the
plan does not depend on luck. Each kill is SIGKILL to one of the two at a random moment, which is then started again on
what is left. At the end the plan, the bundle and every figure are those of a run that was left alone, and no more jobs
were measured again than were cut. Prints a summary in JSON and exits with 1 when any of this does not hold.
"""

from __future__ import annotations

import inspect
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import own_networks
from support.agent_process import AgentProcess
from support.agents import FakeWorker
from support.kills import Lost, main

#: Never give up a group: here it is not to blame for the end of the agent.
_AGENT = ("--max-interruptions=1000000",)
_SEARCH = (
    *("--module", "own_networks:digits", "--input-shape", "1,28,28", "--data", "mnist-sample"),
    *("--fastest", "--attack", "none", "--max-natural-drop", "100"),
    *("--calibration", "16", "--images", "16", "--corrections", "1", "--judgements", "2", "--quiet"),
)
_FINISHED = (0, 1)
#: How a host ends whose agent went away: it is started again, as its user would.
_UNREACHABLE = 3


class Summary(NamedTuple):
    """What a run came to."""

    kills: dict[str, int]
    searches: int
    jobs: int
    measured_again: int
    seconds: float


class Place:
    """A state folder and an agent's data folder, with the worker that keeps a record of its orders."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.worker = FakeWorker(folder / "worker", law=True)
        (folder / "own_networks.py").write_text(inspect.getsource(own_networks))

    def agent(self, port: int = 0) -> AgentProcess:
        """An agent on the data folder, at an address of its own or at the one of its predecessor."""
        return AgentProcess(self.folder / "data", self.worker, *_AGENT, f"--port={port}")

    def host(self, url: str) -> subprocess.Popen[bytes]:
        """``gdws optimize`` in a process of its own."""
        command = [sys.executable, "-m", "gdws", "optimize", *_SEARCH, "--device", url]
        files = ["--out", self.folder / "best.gdws", "--state", self.folder / "state", "--known-costs", self.folder]
        with (self.folder / "host.log").open("ab") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command += map(str, files)
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, env=environment)

    def answer(self) -> dict[str, Any]:
        """What the search came to, without how long it took."""
        found = json.loads((self.folder / "state" / "optimisation.json").read_bytes())
        return {name: value for name, value in found.items() if name != "host_s"}

    def jobs(self) -> list[str]:
        """What was measured, an entry for each order that a worker took."""
        return [json.dumps([Path(order["bundle_path"]).name, order["profile"], order["protocol"]])
                for order in self.worker.orders()]  # fmt: skip


def follow(place: Place, draw: Callable[[], tuple[float, str] | None], count: Counter[str]) -> None:
    """Let the search of ``place`` run to its end; ``draw`` says when the host or the agent is killed next, if it is."""
    agent = place.agent()
    port = int(agent.url.rpartition(":")[2])
    host = place.host(agent.url)
    try:
        while True:
            cut = draw()
            try:
                status = host.wait(None if cut is None else cut[0])
            except subprocess.TimeoutExpired:
                assert cut is not None
                count[cut[1]] += 1
                if cut[1] == "agent":
                    agent.close()
                    agent = place.agent(port)
                else:
                    host.kill()
                    host.wait()
                    host = place.host(agent.url)
                continue
            if status in _FINISHED:
                return
            if status != _UNREACHABLE:
                raise Lost(f"the host ended with {status}: {(place.folder / 'host.log').read_text()[-3000:]}")
            host = place.host(agent.url)
    finally:
        host.kill()
        host.wait()
        agent.close()


def run(folder: Path, kills: int, seed: int) -> Summary:
    """Kill so often, in as many searches as that takes; raises Lost."""
    began_s, drawn = time.monotonic(), random.Random(seed)
    alone = Place(folder / "alone")
    count: Counter[str] = Counter()
    follow(alone, lambda: None, count)
    whole_s, expected = time.monotonic() - began_s, alone.answer()

    def draw() -> tuple[float, str] | None:
        if count.total() >= kills:
            return None
        return drawn.uniform(0.1, 0.9) * whole_s, drawn.choice(["host", "agent"])

    jobs = again = searches = 0
    while count.total() < kills or not searches:
        place, before = Place(folder / f"killed-{searches}"), count.total()
        follow(place, draw, count)
        searches += 1
        if place.answer() != expected:
            raise Lost(f"another answer:\n{json.dumps(place.answer())}\n{json.dumps(expected)}")
        taken, wanted = Counter(place.jobs()), Counter(alone.jobs())
        if wanted - taken or set(taken) != set(wanted):
            raise Lost("other jobs were measured")
        repeated = (taken - wanted).total()
        if repeated > count.total() - before:
            raise Lost(f"{repeated} jobs were measured again after {count}")
        jobs, again = jobs + wanted.total(), again + repeated
    return Summary(dict(count), searches, jobs, again, round(time.monotonic() - began_s, 1))


if __name__ == "__main__":
    sys.exit(main(__doc__, 50, run))
