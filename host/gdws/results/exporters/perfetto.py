"""Chrome's trace events as JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing open: one time line for all.

Each cell is a slice from its start to its end. Where the result keeps time series there are its rounds, and latency,
power, temperatures and clocks as counters. Layers of a profile follow each other from the cell's start, each as long as
its mean. Times are microseconds since the first event, in whole nanoseconds: viewers drop a slice that begins before
the one before it has ended. The format is described in "Trace Event Format" (Google, 2016).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gdws.errors import ResultError
from gdws.results.exporters.figures import path_of
from gdws_contract.findings.cells import why_untimed
from gdws_contract.rest import BenchmarkResult, Cell
from gdws_contract.series import Curve, Span

Event = dict[str, Any]

_NS = 10**9
#: Threads of a cell's process, in the order in which they are drawn.
_CELL, _ROUNDS, _LAYERS = 1, 2, 3
_THREADS = {_CELL: "cell", _ROUNDS: "rounds", _LAYERS: "layers, mean times"}


def render_perfetto(result: BenchmarkResult) -> str:
    """The trace of ``result``, a process for each cell.

    Raises :class:`ResultError` if no cell says when it was measured.
    """
    events: list[Event] = []
    for number, cell in enumerate(result.job.cells, start=1):
        events += _cell_events(result, cell, number)
    timed: list[int] = [event["ts"] for event in events if "ts" in event]
    if not timed:
        raise ResultError("the result has nothing to put on a time line", hint="no cell says when it was measured")
    zero = min(timed)
    for event in events:
        if "ts" in event:
            event["ts"] = (event["ts"] - zero) / 1e3
    about = {
        "bundle": result.manifest.name,
        "device": result.device.board or result.device.hostname,
        "simulated": result.device.simulated or any(cell.simulated for cell in result.job.cells),
        "job": result.job.id,
        "origin_unix_s": zero / _NS,
    }
    trace = {"displayTimeUnit": "ms", "otherData": about, "traceEvents": events}
    return json.dumps(trace, ensure_ascii=False, allow_nan=False) + "\n"


def has_series(result: BenchmarkResult) -> bool:
    """Whether some cell has readings over time."""
    return any(cell.series is not None for cell in result.job.cells)


def _cell_events(result: BenchmarkResult, cell: Cell, number: int) -> Iterator[Event]:
    """The events of one cell in the process ``number``; none if it does not say when it was measured."""
    start, end = _nanoseconds(cell.started_at), _nanoseconds(cell.finished_at)
    if start is None or end is None:
        return
    name = path_of(result, cell)
    yield _metadata("process_name", number, {"name": name})
    yield _metadata("process_sort_index", number, {"sort_index": number})
    for thread, title in _THREADS.items():
        yield {**_metadata("thread_name", number, {"name": title}), "tid": thread}
    yield _slice(name, number, _CELL, start, max(0, end - start), _figures(cell))
    if cell.profile is not None:
        yield from _layers(cell, number, start)
    if cell.series is not None:
        origin = round(cell.series.origin_unix_s * _NS)
        for span in cell.series.spans:
            yield _span(span, number, origin)
        for curve in cell.series.curves:
            yield from _counter(curve, number, origin)


def _figures(cell: Cell) -> dict[str, Any]:
    """What a reader sees who clicks on the cell; unknown is left out."""
    found: dict[str, Any] = {"state": cell.state, "why_no_times": why_untimed(cell), "fps": cell.fps}
    if cell.latency is not None:
        found |= {"median_ms": cell.latency.median_ms, "p99_ms": cell.latency.p99_ms}
    if cell.power is not None:
        found |= {"mean_w": cell.power.mean_w, "energy_per_inference_mj": cell.power.energy_per_inference_mj}
    if cell.memory is not None:
        found["total_peak_bytes"] = cell.memory.total_peak_bytes
    if cell.flags:
        found["flags"] = ", ".join(flag.code for flag in cell.flags)
    return {name: value for name, value in found.items() if value is not None}


def _layers(cell: Cell, number: int, start: int) -> Iterator[Event]:
    assert cell.profile is not None
    at = start
    for layer in cell.profile.layers:
        duration = round(layer.mean_ms * 1e6)
        about = {"share": layer.share, "source": layer.source, "kind": layer.kind, "tool": cell.profile.tool}
        known = {name: value for name, value in about.items() if value is not None}
        yield _slice(layer.name, number, _LAYERS, at, duration, known)
        at += duration


def _span(span: Span, number: int, origin: int) -> Event:
    name = span.name if span.round is None else f"{span.name} {span.round + 1}"
    known = {"inferences": span.count, "median_ms": span.median_ms}
    about = {key: value for key, value in known.items() if value is not None}
    return _slice(name, number, _ROUNDS, origin + round(span.start_s * _NS), round(span.duration_s * _NS), about)


def _counter(curve: Curve, number: int, origin: int) -> Iterator[Event]:
    """A counter of the cell's process; viewers put the unit, which is the name of the value, behind its name."""
    name = curve.name if curve.name.endswith(curve.kind) else f"{curve.kind}: {curve.name}"
    for time_s, value in zip(curve.times_s, curve.values, strict=True):
        yield {"ph": "C", "name": name, "pid": number, "ts": origin + round(time_s * _NS), "args": {curve.unit: value}}


def _slice(name: str, number: int, thread: int, start: int, duration: int, about: dict[str, Any]) -> Event:
    event = {"ph": "X", "name": name, "pid": number, "tid": thread, "ts": start, "dur": duration / 1e3}
    return {**event, "args": about}


def _metadata(name: str, number: int, about: dict[str, Any]) -> Event:
    return {"ph": "M", "name": name, "pid": number, "args": about}


def _nanoseconds(moment: str | None) -> int | None:
    """A moment of the agent, ISO 8601 in UTC, in nanoseconds since 1970; None if it is not known."""
    if moment is None:
        return None
    try:
        parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError:
        return None
    return round(parsed.timestamp() * 1e6) * 1_000 if parsed.tzinfo is not None else None
