"""Traces in Perfetto's own trace processor: every slice and every counter arrives, and nothing is dropped.

``make trace-processor`` installs it; without it these tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gdws.results.exporters.perfetto import render_perfetto
from support.traced_results import SERIES, traced_result

HERE = Path(__file__).parent
ASSETS = HERE.parents[2] / ".trace-processor"

SLICES = """
SELECT slice.name, slice.ts, slice.dur, slice.depth, process.name AS process, thread.name AS thread
FROM slice JOIN thread_track ON slice.track_id = thread_track.id JOIN thread USING (utid) JOIN process USING (upid)
ORDER BY slice.id
"""
COUNTERS = """
SELECT process_counter_track.name, counter.ts, counter.value, process.name AS process
FROM counter JOIN process_counter_track ON counter.track_id = process_counter_track.id JOIN process USING (upid)
ORDER BY counter.id
"""
LOST = "SELECT name, value FROM stats WHERE value > 0 AND severity IN ('error', 'data_loss')"
ARGUMENTS = "SELECT key, display_value FROM slice JOIN args USING (arg_set_id) WHERE slice.id = 0"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="perfetto: Node.js is not installed"),
    pytest.mark.skipif(
        not (ASSETS / "trace_processor.wasm").exists(),
        reason="perfetto: the trace processor is not installed (make trace-processor)",
    ),
]


def ask(trace: Path, *queries: str) -> list[list[dict[str, Any]]]:
    """The rows of each query on ``trace``."""
    command = ["node", str(HERE / "query.mjs"), str(ASSETS), str(trace)]
    ended = subprocess.run(command, input=json.dumps(queries), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    answers: list[list[dict[str, Any]]] = json.loads(ended.stdout)
    return answers


def test_every_slice_and_counter_arrives_and_nothing_is_dropped(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text(render_perfetto(traced_result()))
    events = json.loads(trace.read_text())["traceEvents"]
    processes = {each["pid"]: each["args"]["name"] for each in events if each["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}

    slices, counters, lost, arguments = ask(trace, SLICES, COUNTERS, LOST, ARGUMENTS)

    assert lost == []
    assert Counter((s["name"], s["ts"], s["dur"], s["process"], s["thread"]) for s in slices) == Counter(
        (e["name"], round(1e3 * e["ts"]), round(1e3 * e["dur"]), processes[e["pid"]], threads[e["pid"], e["tid"]])
        for e in events
        if e["ph"] == "X"
    )
    assert {each["depth"] for each in slices} == {0}
    assert len(counters) == sum(len(curve.times_s) for curve in SERIES.curves)
    assert Counter((c["ts"], c["value"], c["process"]) for c in counters) == Counter(
        (round(1e3 * e["ts"]), value, processes[e["pid"]])
        for e in events
        if e["ph"] == "C"
        for value in e["args"].values()
    )
    units = {each["name"] for each in counters}
    assert units == {
        "power: total W",
        "temperature: CPU °C",
        "clock: GPU MHz",
        "latency ms",
    }
    assert {"key": "args.state", "display_value": "done"} in arguments


def test_slices_that_overlap_are_found(tmp_path: Path) -> None:
    """What the first test rests on: the trace processor says so if it drops something."""
    trace = tmp_path / "trace.json"
    overlapping = [
        {"ph": "X", "name": name, "pid": 1, "tid": 1, "ts": start, "dur": 10.0, "args": {}}
        for name, start in (("one", 0.0), ("two", 5.0))
    ]
    trace.write_text(json.dumps({"traceEvents": overlapping}))

    slices, lost = ask(trace, "SELECT name FROM slice", LOST)

    assert len(slices) < 2 or lost != []
