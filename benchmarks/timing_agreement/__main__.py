"""Does the agent measure what an independent loop of the same ONNX files measures?

    python -m benchmarks.timing_agreement [--bundle model.gdws] [--rounds 100] [--batch 1 8] [--threads 1 2]

The agent's sweep runs as it always does. Each time that it announces a window, an independent loop takes one of
its own on the same variant: a session made here from the same ONNX file, a loop of ``session.run`` around which
``time.perf_counter`` is read. In even rounds it goes before the agent's window, in odd rounds after it. So both
meet the same state of the machine, and their ratio is formed window by window.

Also measured: what the agent adds to each inference. Writes ``results.json`` and ``results.md`` beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import (
    in_words,
    machine,
    make_order,
    median_ratio,
    pack_bundle,
    require_measured,
    variants_of,
    write_results,
)
from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.onnxruntime.cpu import OnnxRuntimeEngine
from gdws_agent.measuring import worker
from gdws_agent.measuring.environment import usable_cores
from gdws_agent.measuring.messages import CellEvent, Event, StageEvent, WorkOrder
from gdws_agent.measuring.windows import run_window
from gdws_contract.archive import open_bundle
from gdws_contract.manifest import OutputSpec, TensorSpec
from gdws_contract.measures import Build
from gdws_contract.rest import Cell, Protocol

HERE = Path(__file__).resolve().parent

LIMIT = 0.03
WINDOW_MS = 50.0


class IndependentLoop:
    """What one would write without the agent."""

    def __init__(self, model: bytes, input_name: str, shape: tuple[int, ...], threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        images = np.random.default_rng(0).random(shape, dtype=np.float32)
        self._feed = {input_name: images}
        self.medians_ms: list[float] = []
        self.times_ms: list[float] = []

    def take_window(self, duration_ms: float) -> None:
        """Run for ``duration_ms`` after five inferences that are not counted."""
        for _ in range(5):
            self._session.run(None, self._feed)
        times = []
        end = time.perf_counter() + duration_ms / 1e3
        while time.perf_counter() < end:
            start = time.perf_counter()
            self._session.run(None, self._feed)
            times.append((time.perf_counter() - start) * 1e3)
        self.medians_ms.append(statistics.median(times))
        self.times_ms += times


class Listener:
    """Hears the sweep's events, and has the independent loops take their turns at the agent's windows."""

    def __init__(self, loops: dict[str, IndependentLoop], window_ms: float) -> None:
        self.cells: dict[str, Any] = {}
        self._loops = loops
        self._window_ms = window_ms
        self._owed: str | None = None

    def __call__(self, event: Event) -> None:
        measures = isinstance(event, StageEvent) and event.stage == "measure"
        if measures or isinstance(event, CellEvent):
            self._pay()
        if isinstance(event, CellEvent):
            self.cells[event.cell.key.variant] = event.cell
        elif measures and event.variant is not None and event.round is not None:
            self._owed = event.variant
            if event.round % 2 == 0:
                self._pay()

    def _pay(self) -> None:
        if self._owed is not None:
            self._loops[self._owed].take_window(self._window_ms)
            self._owed = None


def compare(path: Path, batch_size: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Return one row for each variant: both medians, and the ratio agent / independent with its 95 % interval."""
    protocol = Protocol(rounds=rounds, min_duration_ms=rounds * WINDOW_MS, min_iterations=rounds, threads=threads)
    order = make_order(path, variants=variants_of(path), protocol=protocol, batch_size=batch_size)
    loops = make_loops(order)
    listener = Listener(loops, WINDOW_MS)
    worker.measure(order, listener)
    cells = require_measured(order, listener.cells)
    return [row(cells[variant], loop) for variant, loop in loops.items()]


def make_loops(order: WorkOrder) -> dict[str, IndependentLoop]:
    """Return an independent loop for each variant of ``order``."""
    with open_bundle(order.bundle_path) as bundle:
        spec = bundle.manifest.input
        return {
            name: IndependentLoop(
                bundle.read(bundle.manifest.variant(name).onnx),
                spec.name,
                (order.batch_size, *spec.shape),
                order.protocol.threads,
            )
            for name in order.variants
        }


def row(cell: Cell, loop: IndependentLoop) -> dict[str, Any]:
    """Return the comparison of one cell."""
    assert cell.latency is not None
    return {
        "variant": cell.key.variant,
        "batch_size": cell.key.batch_size,
        "threads": cell.environment["threads"],
        "agent_median_ms": cell.latency.median_ms,
        "independent_median_ms": statistics.median(loop.times_ms),
        "agent_over_independent": median_ratio([window.median_ms for window in cell.rounds], loop.medians_ms),
        "pairs": len(cell.rounds),
        "agent_samples": cell.latency.count,
        "independent_samples": len(loop.times_ms),
    }


class AnswersAtOnce:
    """A session whose runs take no time."""

    def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [feed["x"]]


def no_profile(prefix: str) -> AnswersAtOnce:
    """The engine's session for layer profiles, which this benchmark does not take."""
    raise AssertionError(prefix)


def overhead_us() -> dict[str, float]:
    """Return what the agent adds to an inference, in microseconds: within its time, and between two times."""
    spec = EngineSpec("fp32", 1, TensorSpec(name="x", shape=[1]), (OutputSpec(name="y", shape=[1]),), 1, Path())
    engine = OnnxRuntimeEngine(AnswersAtOnce(), b"", no_profile, Build(time_s=0, precision="fp32"), spec)
    step = engine.bind(np.zeros((1, 1), np.float32))
    windows = [run_window(step, min_ms=50, min_count=1) for _ in range(11)]
    within = statistics.median(window.median_ms for window in windows) * 1e3
    whole = min((window.end_s - window.start_s) / len(window.samples_ns) for window in windows) * 1e6
    return {"within": within, "between": whole - within}


def verdict(found: dict[str, float]) -> str:
    """Return whether the ratio is within the limit, beyond it, or too noisy to tell."""
    if found["low"] >= 1 - LIMIT and found["high"] <= 1 + LIMIT:
        return "agrees"
    return "differs" if found["high"] < 1 - LIMIT or found["low"] > 1 + LIMIT else "noisy"


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        f"| {row['variant']} | {row['batch_size']} | {row['threads']} "
        f"| {row['agent_median_ms']:.4f} | {row['independent_median_ms']:.4f} "
        f"| {in_words(row['agent_over_independent'])} | {row['pairs']} | {verdict(row['agent_over_independent'])} |"
        for row in results["figures"]
    ]
    overhead = results["overhead_us"]
    return "\n".join(
        [
            "# What the agent measures, against an independent loop",
            "",
            "Median latency of the same ONNX file in ONNX Runtime on the CPU. The ratio is agent / independent: the",
            "median over pairs of windows next to each other in time, with its 95 % interval (order statistics).",
            f"It agrees when that interval lies within {LIMIT * 100:.0f} % of 1, differs when all of it lies beyond,",
            "and is noisy when the machine was too busy to tell.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`.",
            "",
            "| variant | batch | threads | agent (ms) | independent (ms) | ratio | pairs | verdict |",
            "|---|---|---|---|---|---|---|---|",
            *lines,
            "",
            f"The agent adds {overhead['within']:.2f} microseconds to each time, and lets {overhead['between']:.2f}",
            "pass between one time and the next (with a session that answers at once).",
            "",
        ]
    )


def main() -> int:
    """Measure, write the results, and return 1 when a ratio is beyond the limit for certain."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="the bundle to measure; without it one is made")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, usable_cores()}))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.bundle or Path(folder) / "model.gdws"
        if options.bundle is None:
            pack_bundle(path)
        results = {
            "what": "medians of the agent and of an independent loop, paired",
            "machine": machine(),
            "limit": LIMIT,
            "overhead_us": overhead_us(),
            "figures": [
                row
                for threads, batch in itertools.product(options.threads, options.batch)
                for row in compare(path, batch, threads, options.rounds)
            ],
        }
    write_results(HERE, results, table(results))
    return int(any(verdict(row["agent_over_independent"]) == "differs" for row in results["figures"]))


if __name__ == "__main__":
    sys.exit(main())
