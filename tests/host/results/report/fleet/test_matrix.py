"""The matrix of networks by devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdws.errors import ResultError
from gdws.results.report.fleet import FleetMeasurement, SetAside, render_fleet_report, write_fleet_report
from gdws.results.report.fleet.facts import fleet_facts
from gdws_contract.rest import BenchmarkResult, Protocol
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    cell,
    failed_cell,
    jetson_result,
    parity_failed_cell,
    profiled_cell,
    result,
)


def measured(name: str, found: BenchmarkResult, *tags: str) -> FleetMeasurement:
    return FleetMeasurement(name, tags, found)


def test_each_device_has_a_row_and_each_network_a_column_with_its_accuracy():
    facts = fleet_facts([measured(name, result([DENSE, KEPT, CUT])) for name in ("a", "b")], [])

    (block,) = facts.blocks
    assert [(each.name, each.quality) for each in block.networks] == [
        ("dense", "baseline"),
        ("mean-rank-4", "kept"),
        ("mean-rank-1", "at a price"),
    ]
    assert [[(entry.device, entry.network) for entry in row] for row in block.rows] == [
        [(device, network) for network in ("dense", "mean-rank-4", "mean-rank-1")] for device in ("a", "b")
    ]
    fast = block.of("mean-rank-1")[0]
    assert (fast.median_ms, fast.speedup, fast.speed) == (0.8, 2.5, "faster")
    assert fast.speedup_interval is not None
    assert fast.energy_mj is None
    assert fast.energy_reason == "no power sensor was found"


def test_energy_and_the_power_mode_in_force_are_taken_over():
    (block,) = fleet_facts([measured("a", jetson_result([DENSE, KEPT]))], []).blocks

    entry = block.of("dense")[0]
    assert entry.energy_mj == pytest.approx(57.12)
    assert entry.energy_interval is not None
    assert (entry.power_mode, entry.jetson_clocks) == ("MAXN", True)


def test_what_was_not_measured_has_a_reason():
    broken = result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1), parity_failed_cell(KEPT, 1)])
    failed = result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1), failed_cell(KEPT, 1, "no memory left")])
    elsewhere = result([DENSE, KEPT], batch_sizes=(8,))
    facts = fleet_facts(
        [measured("a", broken), measured("b", failed), measured("c", elsewhere)],
        [SetAside("d", ("roof",), "it does not answer"), SetAside("c", (), "its token is refused")],
    )

    first, _ = facts.blocks
    assert [entry.reason for entry in first.of("mean-rank-4")] == [
        "logits differ by 0.31 of the largest, more than 0.001",
        "no memory left",
        "set aside: its token is refused",
        "set aside: it does not answer",
    ]
    assert [(each.name, each.set_aside) for each in facts.devices][-1] == ("d", "it does not answer")
    assert facts.devices[-1].kind is None
    assert facts.devices[-1].tags == ("roof",)


def test_a_device_that_is_still_retried_is_not_said_to_be_set_aside():
    found = [measured("a", result([DENSE]))]
    report = render_fleet_report(found, [SetAside("b", (), "it does not answer", is_retried=True)], ".md")
    assert "b is retried: it does not answer." in report
    assert "set aside" not in report
    both = [SetAside("b", (), "busy", is_retried=True), SetAside("c", (), "away"), SetAside("d", (), "away")]
    assert "<h1>4 devices, 1 retried, 2 set aside</h1>" in render_fleet_report(found, both, ".html")


def test_a_job_that_a_device_refused_does_not_set_it_aside():
    found = [measured("a", result([DENSE])), measured("b", result([DENSE], batch_sizes=(8,)))]
    refused = [SetAside("a", (), "no tensorrt", "net.threads-2")]

    facts = fleet_facts(found, refused)
    report = render_fleet_report(found, refused, ".md")

    assert facts.set_aside == ()
    assert facts.blocks[1].of("dense")[0].reason == "net.threads-2: no tensorrt"
    assert "a did not measure net.threads-2: no tensorrt." in report
    assert "measured; not net.threads-2: no tensorrt" in report
    assert "set aside" not in report


def test_a_device_that_was_not_asked_says_so():
    found = [measured("a", result([DENSE])), measured("b", result([DENSE], batch_sizes=(8,)))]

    first, _ = fleet_facts(found, []).blocks

    assert [entry.reason for entry in first.of("dense")] == [None, "this device was not asked for it"]


def test_results_that_were_asked_for_otherwise_are_apart():
    found = [
        measured("a", result([DENSE], protocol=Protocol(threads=threads, seed=threads or 0))) for threads in (None, 2)
    ]

    blocks = fleet_facts(found, []).blocks

    assert [block.case.conditions for block in blocks] == [("threads 2",), ("threads as usual",)]
    assert fleet_facts(found[:1], []).blocks[0].case.conditions == ()


def test_of_a_cell_measured_twice_a_timed_one_counts_and_of_those_the_last():
    slower = result([DENSE], cells=[cell(DENSE, DENSE, 1).model_copy(update={"fps": 1.0})])
    failed = result([DENSE], cells=[failed_cell(DENSE, 1, "no memory left")])

    facts = fleet_facts([measured("a", each) for each in (failed, result([DENSE]), slower, failed)], [])

    assert facts.blocks[0].of("dense")[0].fps == 1.0


def test_profiles_are_counted_and_left_out():
    facts = fleet_facts([measured("a", result([DENSE], cells=[profiled_cell(DENSE)])), measured("a", profile())], [])

    assert facts.untimed == 1


def profile() -> BenchmarkResult:
    found = result([DENSE], cells=[profiled_cell(DENSE)])
    request = found.job.request.model_validate({**found.job.request.model_dump(), "profile": {}})
    return found.model_copy(update={"job": found.job.model_copy(update={"request": request})})


def test_json_has_every_figure(tmp_path: Path):
    out = tmp_path / "fleet.json"
    write_fleet_report([measured("a", result([DENSE, KEPT]))], [SetAside("b", (), "away")], out)

    document = json.loads(out.read_text())

    assert document["schema_version"] == 1
    assert document["blocks"][0]["rows"][0][1]["speedup"] == pytest.approx(4 / 3)
    assert document["devices"][1] == {
        "name": "b",
        "tags": [],
        "kind": None,
        "set_aside": "away",
        "left_out": [],
        "is_retried": False,
    }


def test_nothing_to_report_on_and_unknown_formats_are_errors():
    with pytest.raises(ResultError, match="no devices"):
        render_fleet_report([], [], ".json")
    with pytest.raises(ResultError, match="no report format"):
        render_fleet_report([measured("a", result([DENSE]))], [], ".pdf")
