"""The trace against the Trace Event Format, and against the result that it was made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdws.errors import ResultError
from gdws.results.exporters import export
from gdws.results.exporters.perfetto import has_series, render_perfetto
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import DENSE, KEPT, cell, result
from support.command import gdws
from support.traced_results import traced_result


@pytest.fixture
def measured() -> BenchmarkResult:
    return traced_result()


def nanoseconds(microseconds: float) -> int:
    """A time of a trace as whole nanoseconds, which it must be."""
    assert microseconds * 1e3 == pytest.approx(round(microseconds * 1e3), abs=1e-3)
    return round(microseconds * 1e3)


def trace_of(measured: BenchmarkResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render_perfetto(measured))
    return found


def require_trace_event_format(trace: dict[str, Any]) -> None:
    """What the format asks of the kinds of events that are used here."""
    assert trace["displayTimeUnit"] in ("ms", "ns")
    names: set[int] = set()
    for event in trace["traceEvents"]:
        assert event["ph"] in ("M", "X", "C")
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["args"], dict)
        if event["ph"] == "M":
            if event["name"] == "process_name":
                names.add(event["pid"])
            assert (event["name"] == "thread_name") == ("tid" in event)
            continue
        assert event["pid"] in names, "a process is named before its events"
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
            assert isinstance(event["tid"], int)
        else:
            assert all(isinstance(value, (int, float)) for value in event["args"].values())


def test_it_is_of_the_trace_event_format_and_its_slices_nest(measured: BenchmarkResult) -> None:
    trace = trace_of(measured)
    require_trace_event_format(trace)
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    tracks: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in slices:
        tracks.setdefault((event["pid"], event["tid"]), []).append(event)
    for track in tracks.values():  # of one thread, slices follow each other
        for earlier, later in zip(track, track[1:], strict=False):
            ends = nanoseconds(earlier["ts"]) + nanoseconds(earlier["dur"])
            assert ends <= nanoseconds(later["ts"]), "Perfetto drops slices that overlap"


def test_everything_lies_on_one_time_line(measured: BenchmarkResult) -> None:
    events = trace_of(measured)["traceEvents"]
    [first] = [e for e in events if e["ph"] == "X" and e["pid"] == 1 and e["tid"] == 1]
    assert (first["ts"], first["dur"]) == (0, 10e6)
    assert first["args"]["state"] == "done"
    rounds = {e["name"]: e for e in events if e["ph"] == "X" and e["pid"] == 1 and e["tid"] == 2}
    assert (rounds["round 1"]["ts"], rounds["round 1"]["dur"]) == (2.5e6, 1.5e6)
    assert rounds["round 1"]["args"] == {"inferences": 700, "median_ms": 2.1}
    assert rounds["paced"]["ts"] == 4.5e6
    counters = {e["name"]: e for e in events if e["ph"] == "C"}
    assert set(counters) == {"power: total", "temperature: CPU", "clock: GPU", "latency"}
    assert (counters["power: total"]["ts"], counters["power: total"]["args"]) == (2.7e6, {"W": 11.25})


def test_layers_follow_each_other_from_the_start_of_their_cell(measured: BenchmarkResult) -> None:
    profile = measured.job.cells[1].profile
    assert profile is not None
    layers = [e for e in trace_of(measured)["traceEvents"] if e["ph"] == "X" and (e["pid"], e["tid"]) == (2, 3)]
    assert [layer["name"] for layer in layers] == [layer.name for layer in profile.layers]
    assert layers[0]["ts"] == 0
    assert sum(layer["dur"] for layer in layers) == pytest.approx(1e3 * profile.total_ms, rel=1e-3)


def test_a_cell_that_failed_says_why(measured: BenchmarkResult) -> None:
    [failed] = [e for e in trace_of(measured)["traceEvents"] if e["ph"] == "X" and e["pid"] == 3]
    assert failed["args"]["why_no_times"] == "no"


def test_a_result_without_moments_has_no_trace() -> None:
    untimed = cell(DENSE, DENSE, 1).model_copy(update={"started_at": None, "finished_at": None})
    with pytest.raises(ResultError, match="nothing to put on a time line"):
        render_perfetto(result(nets=[DENSE], cells=[untimed]))


def test_results_of_earlier_schemas_have_a_trace() -> None:
    for name in ("result-v1.json", "result-v2.json"):
        content = (Path(__file__).parents[3] / "contract" / "files" / name).read_text()
        require_trace_event_format(trace_of(BenchmarkResult.model_validate_json(content)))


def test_the_command_says_how_readings_are_kept(tmp_path: Path, measured: BenchmarkResult) -> None:
    stored, out = tmp_path / "result.json", tmp_path / "trace.json"
    stored.write_text(measured.model_dump_json())
    assert has_series(measured)
    ended = gdws("export", str(stored), "--format", "perfetto", "--out", str(out))
    assert (ended.exit_code, "--time-series" in ended.stderr) == (0, False)
    require_trace_event_format(json.loads(out.read_text()))
    without = [each.model_copy(update={"series": None}) for each in measured.job.cells]
    stored.write_text(result(nets=[DENSE, KEPT], cells=without).model_dump_json())
    assert "--time-series" in gdws("export", str(stored), "--format", "perfetto", "--out", str(out)).stderr


def test_export_writes_the_file(tmp_path: Path, measured: BenchmarkResult) -> None:
    export(measured, tmp_path / "trace.json", "perfetto")
    assert (tmp_path / "trace.json").read_text() == render_perfetto(measured)
