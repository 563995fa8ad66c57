"""Kills an agent and its workers at random moments of a long job, and checks that nothing finished is lost.

    python tests/e2e/kill_harness.py --kills 200

The agent is a real process on a real data folder; its workers measure nothing, so that much happens in little time.
Each of the kills is one of these, by chance:

- SIGKILL to the agent while it measures, or while it starts, with an upload half way in;
- SIGKILL to the worker;
- a power failure: the agent is frozen, its data folder copied as it is, and the next agent started on the copy.

After each, and at the end, when the job may run to its end: every cell that had finished is there; of a group that had
finished, byte for byte, so none was measured twice; no upload is left over; no database was damaged. Prints a summary
in JSON and exits with 1 when any of this does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from gdws_agent.storage.library import check_bundle
from gdws_contract.rest import FINAL_STATES
from support.agent_process import AgentProcess, launch
from support.agents import FakeWorker, agent, resolved
from support.bundles import tiny_bundle
from support.kills import Lost

VARIANTS = ("dense", "a", "b")
#: Never give up a group: here it is not to blame for the end of the agent.
OPTIONS = ("--max-interruptions=1000000",)
#: The longest time from the start of an agent, and between two kills.
LONGEST_S = 0.5
KINDS = {"agent": 0.5, "agent that starts": 0.15, "worker": 0.2, "power": 0.15}

Cells = dict[str, Any]


class Summary(NamedTuple):
    """What a run came to."""

    kills: dict[str, int]
    groups: int
    cells: int
    cells_failed_by_worker_kills: int
    orders: int
    seconds: float


def check(before: Cells, after: Cells) -> None:
    """Compare the cells of a job at two times, {key: cell}; raises Lost."""
    complete = {group for group, count in Counter(map(group_of, before)).items() if count == len(VARIANTS)}
    for key, cell in before.items():
        if key not in after:
            raise Lost(f"{key} is gone")
        if group_of(key) in complete and after[key] != cell:
            raise Lost(f"{key} was measured again:\n{cell}\n{after[key]}")


def group_of(key: str) -> str:
    """Return what the cells have in common that are measured together."""
    return json.dumps({name: value for name, value in json.loads(key).items() if name != "variant"})


class Harness:
    """One data folder, and the agent that is started on it again and again."""

    def __init__(self, folder: Path, groups: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.data = folder / "data"
        self.worker = FakeWorker(folder / "worker", stamp=True)
        self.bundle = tiny_bundle(folder / "tiny.gdws", net="linear", variants=list(VARIANTS))
        self.kills: Counter[str] = Counter()
        self.cells: Cells = {}
        batch_sizes = list(range(1, 1 + min(32, groups)))
        precisions = [f"p{number}" for number in range(-(-groups // len(batch_sizes)))]
        backends = [f"b{number}" for number in range(-(-len(precisions) // 8))]
        with agent(self.data, self.worker) as service:
            copy = service.folder.uploads / "copy"
            shutil.copy(self.bundle, copy)
            model_id = service.library.add(check_bundle(copy))[0].id
            request = resolved(
                model_id,
                variants=list(VARIANTS),
                backends=backends,
                precisions=precisions[: -(-len(precisions) // len(backends))],
                batch_sizes=batch_sizes,
            )
            job = service.jobs.submit(request)
        self.job_id, self.total = job.id, job.progress.cells_total

    def run(self, kills: int) -> Summary:
        """Kill so often, then let the job run to its end; raises Lost."""
        began_s = time.monotonic()
        while self.kills.total() < kills and len(self.cells) < self.total:
            kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
            if kind == "agent that starts":
                self.kill_at_start()
            else:
                with self.started() as process:
                    self.wait()
                    {"agent": self.kill_agent, "worker": self.kill_worker, "power": self.cut_power}[kind](process)
        with self.started() as process:
            while process.get(f"/benchmark/{self.job_id}", params={"wait": 30})["state"] not in FINAL_STATES:
                pass
            self.look(process)
        if len(self.cells) != self.total:
            raise Lost(f"{len(self.cells)} of {self.total} cells at the end")
        failed = [cell for cell in self.cells.values() if cell["state"] != "done"]
        causes = {cell["error"]["type"] for cell in failed}
        if causes - {"urn:gdws:problem:worker-crashed"} or len(failed) > len(VARIANTS) * self.kills["worker"]:
            raise Lost(f"{len(failed)} cells failed: {causes}")
        return Summary(
            kills=dict(self.kills),
            groups=self.total // len(VARIANTS),
            cells=self.total,
            cells_failed_by_worker_kills=len(failed),
            orders=len(self.worker.orders()),
            seconds=round(time.monotonic() - began_s, 1),
        )

    def wait(self) -> None:
        """Let a random time pass."""
        time.sleep(self.random.uniform(0, LONGEST_S))

    @contextlib.contextmanager
    def started(self) -> Iterator[AgentProcess]:
        """A new agent that serves, looked at; what is left of it in the end is killed."""
        process = AgentProcess(self.data, self.worker, *OPTIONS)
        try:
            left = list((self.data / "uploads").iterdir())
            if left:
                raise Lost(f"{left} is left of uploads")
            self.look(process)
            yield process
        finally:
            process.close()

    def look(self, process: AgentProcess) -> None:
        """Compare what the agent shows with what it showed before."""
        health = process.get("/healthz")
        if health["notices"]:
            raise Lost(f"the agent tells of {health['notices']}")
        if len(process.get("/models")["models"]) != 1:
            raise Lost("there is another number of bundles")
        job = process.get(f"/benchmark/{self.job_id}")
        if job["state"] in FINAL_STATES and job["state"] != "done":
            raise Lost(f"the job is {job['state']}: {job['error']}")
        cells = {json.dumps(cell["key"]): cell for cell in job["cells"]}
        check(self.cells, cells)
        self.cells = cells

    def kill_agent(self, process: AgentProcess) -> None:
        """End it in the middle of an upload."""
        body = self.bundle.read_bytes()
        with socket.create_connection(process.url[len("http://") :].split(":")) as client:
            head = f"POST /models HTTP/1.1\r\nHost: {process.url[7:]}\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body[: self.random.randrange(len(body))])
            self.end(process, "agent")

    def end(self, process: AgentProcess, kind: str) -> None:
        """Kill the agent."""
        self.kills[kind] += 1
        process.process.kill()
        process.process.wait()

    def kill_at_start(self) -> None:
        """End an agent before it may be ready."""
        with open(self.data.with_name("data.log"), "ab") as log:
            process = launch(self.data, self.worker, OPTIONS, log)
        with process:
            time.sleep(self.random.uniform(0, 2 * LONGEST_S))
            self.kills["agent that starts"] += 1
            process.kill()

    def kill_worker(self, process: AgentProcess) -> None:
        """End the worker, if there is one just now; then the agent goes on for a while and is ended, too."""
        for child in psutil.Process(process.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
                self.kills["worker"] += 1
        self.wait()
        self.look(process)
        self.end(process, "agent")

    def cut_power(self, process: AgentProcess) -> None:
        """Go on with a copy of the data folder as it is in the middle of things."""
        snapshot = self.data.with_name("snapshot")
        process.process.send_signal(signal.SIGSTOP)
        shutil.copytree(self.data, snapshot)
        self.end(process, "power")
        shutil.rmtree(self.data)
        snapshot.rename(self.data)


def main() -> int:
    """Run the harness and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--groups", type=int, help="least length of the job; default: six for each kill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gdws-kills-") as folder:
        harness = Harness(Path(folder), options.groups or 6 * options.kills, options.seed)
        try:
            print(json.dumps(harness.run(options.kills)._asdict(), indent=1))
        except Lost as error:
            print(f"after {dict(harness.kills)}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
