from __future__ import annotations

import csv
import io
import json

from gdws.results.report import render
from gdws.results.report.figures import facts
from gdws.results.report.open_loop import open_loop_tables
from gdws.results.report.tables import Table
from gdws_contract.memory import Memory
from gdws_contract.pacing import HighestRate, Paced, PacedResult
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import DENSE, KEPT, cell, paced, result

HIGHEST = HighestRate(rate_hz=118.2, missed_hz=120.1, max_miss_rate=0.001, deadline_ms=20, runs=14, arrivals=900)
MEMORY = Memory(
    host_peak_bytes=100 * 2**20,
    host_method="VmHWM",
    device_reason="the backend runs on the CPU",
    total_peak_bytes=100 * 2**20,
)


def measured(run: Paced | None, highest: HighestRate | None = None, memory: Memory | None = None) -> BenchmarkResult:
    found = PacedResult(run=run, highest_rate=highest, waits_by="spins")
    kept = cell(KEPT, DENSE, 1).model_copy(update={"paced": found, "memory": memory})
    return result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1), kept])


def table(found: BenchmarkResult, title: str) -> dict[str, str]:
    [one] = [each for each in open_loop_tables(facts(found)) if each.title == title]
    [row] = one.groups[0][1]
    return dict(zip(one.columns, row.cells, strict=True))


def titles(found: BenchmarkResult) -> list[str]:
    return [each.title for each in open_loop_tables(facts(found))]


def test_a_table_is_there_only_for_what_was_measured() -> None:
    assert titles(result([DENSE, KEPT])) == []
    assert titles(measured(paced(), HIGHEST, MEMORY)) == ["Deadlines", "Highest rate", "Memory"]
    assert titles(measured(None, HIGHEST)) == ["Highest rate"]


def test_missed_deadlines_are_told_as_they_are() -> None:
    row = table(measured(paced(arrivals=2_000, missed=3)), "Deadlines")
    assert (row["Arrivals"], row["Rate Hz"], row["Missed"]) == ("2,000", "30.0", "3 (0.150 %)")
    assert (row["Longest burst"], row["p99 ms"]) == ("3", "8.00")
    assert "p99.9 ms" not in row
    assert "needs 1000 samples" in row["Withheld"]


def test_what_was_withheld_is_not_shown_as_a_figure() -> None:
    row = table(
        measured(paced(served=10, latency=None, waiting=None, withheld="290 of 300 were not served")), "Deadlines"
    )
    assert "Median ms" not in row
    assert row["Withheld"] == "290 of 300 were not served"


def test_the_highest_rate_has_both_ends() -> None:
    row = table(measured(None, HIGHEST), "Highest rate")
    assert (row["Sustained"], row["Not sustained"], row["Misses allowed"]) == ("118 Hz", "120 Hz", "0.100 %")
    none = HIGHEST.model_copy(update={"rate_hz": None, "deadline_ms": None, "reason": "not even 2 Hz was sustained"})
    row = table(measured(None, none), "Highest rate")
    assert (row["Sustained"], row["Deadline ms"]) == ("none that was tried", "one period")
    assert row["Remark"] == "not even 2 Hz was sustained"


def test_memory_is_told_with_its_method_and_why_there_is_none() -> None:
    row = table(measured(None, memory=MEMORY), "Memory")
    assert row == {"Host peak": "100 MiB", "Device peak": "the backend runs on the CPU", "Together": "100 MiB"}
    [found] = [each for each in open_loop_tables(facts(measured(None, memory=MEMORY))) if each.title == "Memory"]
    assert isinstance(found, Table)
    assert "VmHWM" in found.note


def test_every_format_has_them() -> None:
    found = measured(paced(missed=3), HIGHEST, MEMORY)
    for suffix in (".html", ".md"):
        text = render([found], suffix)
        assert "Deadlines" in text
        assert "Highest rate" in text
        assert "100 MiB" in text
    rows = list(csv.DictReader(io.StringIO(render([found], ".csv"))))
    assert (rows[1]["miss_rate"], rows[1]["highest_hz"], rows[1]["longest_miss_burst"]) == ("0.01", "118.2", "3")
    assert rows[1]["host_peak_bytes"] == str(100 * 2**20)
    assert rows[0]["miss_rate"] == ""
    told = json.loads(render([found], ".json"))["results"][0]["facts"]["measurements"][1]
    assert told["paced"]["run"]["missed"]["successes"] == 3
    assert told["memory"]["device_peak_bytes"] is None
