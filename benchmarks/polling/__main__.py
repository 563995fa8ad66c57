"""Does asking disturb measuring, and measuring the answers? Latency while a client polls, against latency without.

    python -m benchmarks.polling [--bundle model.gdws] [--repetitions 12] [--rate 50] [--threads 2]

One agent, a real process, measures the same job again and again. Each repetition does so three times, in random
order: while a client asks for the job ``--rate`` times a second, and twice while nobody asks, so that ``idle / idle``
tells the noise. The ratios are formed within a repetition; their medians come with 95 % intervals (order statistics).

The client is a process on the same machine that sends prepared bytes over one connection, so that it takes as little
as it can of the processors; on another machine it would take nothing. The times of the answers are what it sees.
Writes ``results.json`` and ``results.md`` into ``threads-N`` beside this file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

from benchmarks.measured import in_words, machine, median_ratio, pack_bundle, variants_of, write_results
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws_contract.rest import BenchmarkRequest, Job, Protocol

HERE = Path(__file__).resolve().parent

RATIO_LIMIT = 1.03
ANSWER_LIMIT_MS = 20.0
ARMS = ("polled", "idle", "idle again")
_STOP_TIMEOUT_S = 30.0


class Poller:
    """Another process that asks the agent at ``url`` ``rate`` times a second, from :meth:`start` to :meth:`stop`."""

    def __init__(self, url: str, rate: float) -> None:
        address = urlsplit(url)
        command = [sys.executable, "-I", "-S", str(HERE / "client.py"), str(address.hostname), str(address.port)]
        self._process = subprocess.Popen(
            [*command, str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the polling client did not start")

    def start(self, path: str) -> None:
        """Begin to ask for ``path``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")

    def stop(self) -> list[float]:
        """Stop and return the times of the answers in milliseconds."""
        output, _ = self._process.communicate(timeout=_STOP_TIMEOUT_S)
        if self._process.returncode != 0:
            raise RuntimeError("the polling client failed")
        times_ms: list[float] = json.loads(output)
        return times_ms


class Findings(NamedTuple):
    """``medians_ms``: by arm and variant, one for each repetition. ``answers_ms``: the times of the answers.

    ``agent_cpu_s``: the processor time that the agent took in each arm, its workers not counted.
    """

    medians_ms: dict[tuple[str, str], list[float]]
    answers_ms: list[float]
    agent_cpu_s: dict[str, float]


def measure(device: DeviceClient, request: BenchmarkRequest, repetitions: int, rate: float) -> Findings:
    """Return what was found in so many repetitions."""
    found = Findings(defaultdict(list), [], defaultdict(float))
    agent = agent_of(device.url)
    shuffled = random.Random(0)
    for number in range(repetitions):
        for arm in shuffled.sample(ARMS, len(ARMS)):
            poller = Poller(device.url, rate) if arm == "polled" else None
            began_s = cpu_s(agent)
            job = device.submit(request)
            if poller is not None:
                poller.start(f"/benchmark/{job.id}")
            ended = wait(device, job.id)
            if poller is not None:
                found.answers_ms.extend(poller.stop())
            found.agent_cpu_s[arm] += cpu_s(agent) - began_s
            for cell in ended.cells:
                if cell.latency is None:
                    raise RuntimeError(f"{cell.key.variant} was not measured: {cell.error}")
                found.medians_ms[arm, cell.key.variant].append(cell.latency.median_ms)
        print(f"repetition {number + 1} of {repetitions}", file=sys.stderr, flush=True)
    return found


def wait(device: DeviceClient, job_id: str) -> Job:
    """Return the job once it has ended, by one held answer, which costs the agent nothing meanwhile."""
    answer = http_get(device.url, f"/benchmark/{job_id}?wait=3600")
    job = Job.model_validate_json(answer)
    if job.state != "done":
        raise RuntimeError(f"the job ended as {job.state}: {job.error}")
    return job


def http_get(url: str, path: str) -> bytes:
    """Return the body of an answer that may take an hour."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=3_700)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def row(variant: str, medians_ms: dict[tuple[str, str], list[float]]) -> dict[str, Any]:
    """Return the comparison of one variant."""
    polled, idle, again = (medians_ms[arm, variant] for arm in ARMS)
    return {
        "variant": variant,
        "repetitions": len(idle),
        "polled_ms": polled,
        "idle_ms": idle,
        "idle_again_ms": again,
        "polled_over_idle": median_ratio(polled, idle),
        "idle_again_over_idle": median_ratio(again, idle),
    }


def percentiles(times_ms: list[float]) -> dict[str, float]:
    """Return what is told about the answers."""
    cuts = statistics.quantiles(times_ms, n=1_000, method="inclusive")
    return {"count": len(times_ms), "p50_ms": cuts[499], "p99_ms": cuts[989], "max_ms": max(times_ms)}


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    answers = results["answers"]
    lines = [
        f"| {row['variant']} | {min(row['idle_ms']):.3f} | {in_words(row['polled_over_idle'])} "
        f"| {in_words(row['idle_again_over_idle'])} |"
        for row in results["figures"]
    ]
    return "\n".join(
        [
            "# Measured while a client polls, against measured while nobody asks",
            "",
            f"`GET /benchmark/{{id}}` {results['rate_hz']:g} times a second, {results['threads']} threads measure, "
            f"{results['figures'][0]['repetitions']} repetitions. Ratios of medians with 95 % intervals; limit of "
            f"polled / idle: {RATIO_LIMIT:g}.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`",
            *doubts(results["machine"]),
            "",
            "| Variant | fastest median, idle (ms) | polled / idle | idle / idle |",
            "|---|---|---|---|",
            *lines,
            "",
            f"Answers while it measures: {answers['count']}, median {answers['p50_ms']:.2f} ms, "
            f"p99 **{answers['p99_ms']:.2f} ms**, longest {answers['max_ms']:.1f} ms; limit of p99: "
            f"{ANSWER_LIMIT_MS:g} ms. The agent took {results['agent_cpu_ms_per_answer']:.2f} ms of processor time "
            "for each.",
            "",
        ]
    )


def doubts(found: dict[str, Any]) -> list[str]:
    """Return what the reader must know before believing the figures."""
    load, cores = found["load_average_before"], found["logical_cores"]
    if load < cores / 2:
        return []
    return ["", f"**The machine was busy (load {load} on {cores} cores): these figures tell little.**"]


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time that a process has taken, its children not counted."""
    times = process.cpu_times()
    return float(times.user + times.system)


def agent_of(url: str) -> psutil.Process:
    """Return the child of this process that listens at ``url``."""
    port = urlsplit(url).port
    for child in psutil.Process().children():
        if any(each.laddr.port == port for each in child.net_connections() if each.status == psutil.CONN_LISTEN):
            return child
    raise RuntimeError(f"no child listens at {url}")


def main() -> int:
    """Measure, write the results, and return 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="default: the network that ships, in five speeds")
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--rate", type=float, default=50.0, help="questions a second")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--duration", type=float, default=2_000.0, help="measured time of each variant, in ms")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = machine()
        bundle = options.bundle or Path(folder, "model.gdws")
        if options.bundle is None:
            pack_bundle(bundle)
        protocol = Protocol(
            rounds=10, min_duration_ms=options.duration, min_iterations=10, warmup_max_ms=1_000, threads=options.threads
        )
        with local_agent(Path(folder, "data")) as url, DeviceClient(url) as device:
            request = BenchmarkRequest(model_id=device.upload(bundle).id, backends=["onnxruntime"], protocol=protocol)
            found = measure(device, request, options.repetitions, options.rate)
        variants = variants_of(bundle)
    results = {
        "what": "latency while a client polls, against latency while nobody asks",
        "machine": before,
        "rate_hz": options.rate,
        "threads": options.threads,
        "duration_ms": options.duration,
        "limits": {"ratio": RATIO_LIMIT, "answer_p99_ms": ANSWER_LIMIT_MS},
        "answers": percentiles(found.answers_ms),
        "agent_cpu_ms_per_answer": 1_000
        * (found.agent_cpu_s["polled"] - found.agent_cpu_s["idle"])
        / len(found.answers_ms),
        "figures": [row(variant, found.medians_ms) for variant in variants],
    }
    out = HERE / f"threads-{options.threads}"
    out.mkdir(exist_ok=True)
    write_results(out, results, table(results))
    within = all(row["polled_over_idle"]["ratio"] < RATIO_LIMIT for row in results["figures"])
    return 0 if within and results["answers"]["p99_ms"] < ANSWER_LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
