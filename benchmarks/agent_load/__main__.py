"""An agent with a full queue and many stored results, asked by many clients at once.

    python -m benchmarks.agent_load [--clients 200] [--seconds 60] [--pause 2] [--results 10000] [--queued 1000]

Fills a data folder, starts the real process on it, and lets each client ask one thing after another, with a random
pause of ``--pause`` seconds on average in between. Somebody holds the device, so that the queue stays full. Errors are
answers other than those expected: 200, and 429 for a new job. Latencies are those that clients see; the clients run
on the same machine and take processor time themselves. Writes ``results.json`` and ``results.md`` beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

from benchmarks.agent_at_rest.__main__ import doubts, machine
from gdws_agent.jobs.lease import LeaseDesk
from gdws_agent.storage.library import Library, check_bundle
from gdws_agent.storage.store import Store
from gdws_contract.archive_writer import write_bundle
from gdws_contract.manifest import OutputSpec, TensorSpec, Tool, Variant, Verification
from gdws_contract.measures import LatencySummary, RoundSummary
from gdws_contract.queueing import LeaseRequest
from gdws_contract.rest import BenchmarkRequest, Cell, CellKey
from gdws_contract.task import Classification

HERE = Path(__file__).resolve().parent

VARIANTS = ("dense", "rank-1", "rank-2", "rank-4")
LISTING_LIMIT_MS = 50.0
MEMORY_LIMIT_MB = 150.0
#: How many times the memory at the beginning may be that at the end and still count as flat.
FLAT = 1.25


def fill(folder: Path, results: int, queued: int) -> str:
    """Make a data folder with so many results of four cells each, and jobs that wait; return the id of their bundle."""
    (folder / "models").mkdir(parents=True)
    with contextlib.closing(Store(folder / "agent.db")) as store:
        model_id = add_bundle(store, folder)
        request = BenchmarkRequest(model_id=model_id, variants=list(VARIANTS), backends=["onnxruntime"])
        done = store.add_job(request)
        store.begin_next()
        for variant in VARIANTS:
            store.add_cell(done.id, measured_cell(variant), 12.0)
        store.finish(done.id, "done")
        copy_job(store, done.id, results - 1, "d")
        waiting = store.add_job(request)
        copy_job(store, waiting.id, queued - 1, "e")
        LeaseDesk(store.database, 864_000).take(LeaseRequest(holder="the load test", ttl_s=86_400))
        return model_id


def copy_job(store: Store, job_id: str, count: int, prefix: str) -> None:
    """Store a job and its cells so many times more, in one go."""
    numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
    with store.database.writing() as connection:
        names = [row["name"] for row in connection.execute("PRAGMA table_info(jobs)")]
        same = ", ".join(name for name in names if name not in ("sequence", "id"))
        new_id = f"'{prefix}' || printf('%011x', n)"
        connection.execute(
            f"INSERT INTO jobs (id, {same}) {numbers} SELECT {new_id}, {same} FROM jobs, numbers WHERE id = ?",
            (count, job_id),
        )
        connection.execute(
            f"INSERT INTO cells (job_id, key, cell) {numbers} SELECT {new_id}, key, cell FROM cells, numbers"
            " WHERE job_id = ?",
            (count, job_id),
        )


def add_bundle(store: Store, folder: Path) -> str:
    """Store a bundle that is whole, but of nothing that could be measured, and return its id."""
    variants = [
        Variant(
            name=name,
            role="baseline" if name == VARIANTS[0] else "gdws",
            onnx=f"{name}/model.onnx",
            opset=17,
            outputs=[f"{name}/outputs.0.npy"],
        )
        for name in VARIANTS
    ]
    paths = ["inputs.npy", "labels.npy", *(path for each in variants for path in (each.onnx, *each.outputs))]
    fields = {
        "tool": Tool(name="gdws", version="0"),
        "name": "load",
        "input": TensorSpec(name="input", dtype="float32", shape=[1, 28, 28]),
        "task": Classification(),
        "outputs": [OutputSpec(name="logits", shape=[10])],
        "baseline": VARIANTS[0],
        "variants": variants,
        "verification": Verification(inputs="inputs.npy", labels="labels.npy", count=1, data="none", origin="noise"),
    }
    write_bundle(folder / "load.gdws", fields, dict.fromkeys(paths, b""))  # to ONNX, that is an empty network
    return Library(store, folder / "models").add(check_bundle(folder / "load.gdws"))[0].id


def measured_cell(variant: str) -> Cell:
    """Return a cell with the figures that a usual one has."""
    times = {"min_ms": 1.0, "mean_ms": 1.2, "median_ms": 1.1, "max_ms": 2.0}
    return Cell(
        key=CellKey(variant=variant, backend="onnxruntime", precision="fp32", batch_size=1),
        state="done",
        latency=LatencySummary(scope="host to host", count=1_000, **times),
        fps=833.0,
        rounds=[RoundSummary(index=index, count=100, median_ms=1.1, duration_s=0.3) for index in range(10)],
        environment={"onnxruntime": "1.0", "threads": 2, "cpu": "x" * 100},
    )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[str, int, psutil.Process]]:
    """The agent on ``folder``: its host and port, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gdws_agent", "--port", "0", "--data-dir", str(folder), "--announce"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GDWS_AGENT_LOG_LEVEL": "warning"},
    )
    try:
        assert process.stdout is not None
        address = urlsplit(json.loads(process.stdout.readline())["url"])
        yield address.hostname or "", address.port or 0, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Asked(NamedTuple):
    """One request of a kind, and the statuses that it may be answered with."""

    kind: str
    method: str
    path: str
    body: bytes = b""
    expected: tuple[int, ...] = (200,)


class Client:
    """One connection that is kept open, over which one thing is asked after another."""

    def __init__(self, host: str, port: int, model_id: str, seed: int) -> None:
        self._host, self._port = host, port
        self._model_id = model_id
        self._random = random.Random(seed)
        self._cursor: str | None = None

    async def run(self, until_s: float, pause_s: float, times_ms: dict[str, list[float]], errors: list[str]) -> None:
        """Ask until then; what each kind took goes to ``times_ms``, what was not expected to ``errors``."""
        await asyncio.sleep(self._random.uniform(0, 2 * pause_s))
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            while time.monotonic() < until_s:
                asked = self._next()
                began_s = time.monotonic()
                status, body = await self._ask(reader, writer, asked)
                times_ms[asked.kind].append((time.monotonic() - began_s) * 1e3)
                if status not in asked.expected:
                    errors.append(f"{asked.method} {asked.path}: {status}")
                elif asked.kind == "GET /benchmark, a page":
                    self._cursor = json.loads(body)["next_cursor"]
                await asyncio.sleep(self._random.uniform(0, 2 * pause_s))
        except (OSError, asyncio.IncompleteReadError) as error:
            errors.append(f"the connection: {error!r}")
        finally:
            writer.close()

    def _next(self) -> Asked:
        cursor = "" if self._cursor is None else f"&cursor={self._cursor}"
        body = json.dumps({"model_id": self._model_id}).encode()
        job_id = f"d{self._random.randint(1, 50):011x}"
        return self._random.choices(
            [
                Asked("GET /benchmark, a page", "GET", f"/benchmark?limit=100{cursor}"),
                Asked("GET /queue", "GET", "/queue?limit=50"),
                Asked("GET /models", "GET", "/models"),
                Asked("GET /benchmark/{id}", "GET", f"/benchmark/{job_id}"),
                Asked("GET /healthz", "GET", "/healthz"),
                Asked("POST /benchmark", "POST", "/benchmark", body, (429,)),
            ],
            [4, 1, 1, 2, 2, 1],
        )[0]

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked) -> tuple[int, bytes]:
        head = f"{asked.method} {asked.path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(asked.body)}\r\n\r\n"
        writer.write(head.encode() + asked.body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.partition("content-length:")[2].split("\r\n")[0])
        return int(answer.split()[1]), await reader.readexactly(length)


async def load(
    host: str, port: int, process: psutil.Process, model_id: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Let the clients ask, and return what they saw and what the agent took."""
    times_ms: dict[str, list[float]] = defaultdict(list)
    errors: list[str] = []
    until_s = time.monotonic() + options.seconds
    clients = [
        asyncio.ensure_future(Client(host, port, model_id, number).run(until_s, options.pause, times_ms, errors))
        for number in range(options.clients)
    ]
    resident_mb = []
    before = process.cpu_times()
    while not all(client.done() for client in clients):
        resident_mb.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(1.0)
    await asyncio.gather(*clients)
    after = process.cpu_times()
    used_s = after.user + after.system - before.user - before.system
    settled = resident_mb[len(resident_mb) // 5 :]
    return {
        "requests": sum(map(len, times_ms.values())),
        "requests_per_s": round(sum(map(len, times_ms.values())) / options.seconds, 1),
        "errors": len(errors),
        "first_errors": errors[:5],
        "agent_cpu_s": round(used_s, 1),
        "resident_mb": {
            "first": round(resident_mb[0], 1),
            "settled": round(settled[0], 1),
            "max": round(max(resident_mb), 1),
            "last": round(resident_mb[-1], 1),
        },
        "latency_ms": {kind: percentiles(times) for kind, times in sorted(times_ms.items())},
    }


def percentiles(times_ms: list[float]) -> dict[str, float]:
    """Return count, p50, p95 and p99; the last is the largest where fewer than a hundred were taken."""
    ordered = sorted(times_ms)
    shares = {f"p{percent}": ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] for percent in (95, 99)}
    found = {"p50": statistics.median(ordered), **shares}
    return {"count": len(ordered), **{name: round(time_ms, 1) for name, time_ms in found.items()}}


def is_within(found: dict[str, Any]) -> bool:
    """Whether every target is met."""
    memory = found["resident_mb"]
    listings = [times["p99"] for kind, times in found["latency_ms"].items() if "page" in kind or "queue" in kind]
    return (
        found["errors"] == 0
        and memory["max"] < MEMORY_LIMIT_MB
        and memory["last"] < FLAT * memory["settled"]
        and max(listings, default=0) < LISTING_LIMIT_MS
    )


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    found, asked = results["figures"], results["asked"]
    memory = found["resident_mb"]
    rows = [
        f"| `{kind}` | {each['count']} | {each['p50']} | {each['p95']} | {each['p99']} |"
        for kind, each in found["latency_ms"].items()
    ]
    return "\n".join(
        [
            "# The agent under load",
            "",
            f"{asked['queued']} jobs wait, {asked['results']} results are stored; {asked['clients']} clients ask for "
            f"{asked['seconds']} s with {asked['pause']:g} s between two requests of each. Targets: no error but the "
            f"stated 429, {MEMORY_LIMIT_MB:g} MB resident at most and flat, pages in {LISTING_LIMIT_MS:g} ms at p99.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`",
            *doubts(results["machine"]),
            "",
            f"{found['requests']} requests ({found['requests_per_s']} per second), **{found['errors']} errors**, "
            f"{found['agent_cpu_s']} s of processor time. Resident: {memory['first']} MB at first, "
            f"{memory['settled']} MB after a fifth of the time, {memory['last']} MB at the end, "
            f"**{memory['max']} MB** at most.",
            "",
            "| request | count | p50 (ms) | p95 (ms) | p99 (ms) |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Measure, write the results, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--queued", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.json and results.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        model_id = fill(data, options.results, options.queued)
        with running(data) as (host, port, process):
            found = asyncio.run(load(host, port, process, model_id, options))
    asked = {name: getattr(options, name) for name in ("clients", "seconds", "pause", "results", "queued")}
    results = {"what": "gdws-agent under load", "machine": machine(), "asked": asked, "figures": found}
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (options.out / "results.md").write_text(table(results))
    print((options.out / "results.md").read_text())
    return 0 if is_within(found) else 1


if __name__ == "__main__":
    sys.exit(main())
