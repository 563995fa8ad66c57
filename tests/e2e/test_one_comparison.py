"""``gdws compare``, the report and the agent say the same of the same two results, whatever they are."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from gdws.results.report import render
from gdws_agent.api.app import create_app
from gdws_contract.measures import Interval, RoundSummary, SpeedUp
from gdws_contract.rest import BenchmarkResult, Cell, Protocol
from support.agents import agent
from support.benchmark_results import CUT, DENSE, KEPT, cell, failed_cell, parity_failed_cell, result
from support.command import gdws
from support.stored_results import store_results

PAIRS = 30
#: What the agent names otherwise than a file: where it is from.
_NAMES = ("source", "job_id", "finished_at")


def test_command_report_and_agent_agree_on_generated_results(tmp_path: Path) -> None:
    draw = random.Random(17)
    results = [_generated(draw) for _ in range(2 * PAIRS)]
    ids = store_results(tmp_path / "data", results)
    files = [tmp_path / f"{job_id}.json" for job_id in ids]
    for file, each in zip(files, results, strict=True):
        file.write_text(each.model_dump_json())
    verdicts, kinds, settled_despite_overlap = set(), set(), 0
    with agent(tmp_path / "data") as service, TestClient(create_app(service)) as client:
        for n in range(0, len(ids), 2):
            answered = client.get("/compare", params={"a": ids[n], "b": ids[n + 1]}).raise_for_status().json()
            printed = _printed(files[n], files[n + 1])
            assert printed.pop("schema_version") == 1
            assert _comparable(answered) == _comparable(printed)
            verdicts |= {each["verdict"] for each in printed["cells"]}
            for index, side in ((n, "a"), (n + 1, "b")):
                told = client.get(f"/jobs/{ids[index]}/findings").raise_for_status().json()["verdicts"]
                assert told == printed[side]["verdicts"] == _reported(results[index])
                kinds |= {each["kind"] for each in told}
            settled_despite_overlap += _settled_despite_overlap(printed, results[n], results[n + 1])
    assert verdicts == {"faster", "slower", "not distinguishable", "not measured"}
    assert kinds == {"gain", "trade", "no-gain", "unknown"}
    assert settled_despite_overlap > 0  # where a rule of overlapping ranges would have said otherwise


def _generated(draw: random.Random) -> BenchmarkResult:
    """Three networks, each a little faster or slower than usual, or not measured, or left out but for the first."""
    nets = [DENSE, KEPT, CUT]
    cells = [_generated_cell(draw, net) for net in nets if net is DENSE or draw.random() < 0.9]
    return result(nets, cells=cells, protocol=Protocol(rounds=draw.choice([2, 10])), label=draw.choice([None, "x"]))


def _generated_cell(draw: random.Random, net: Any) -> Cell:
    fate = draw.random()
    if fate < 0.05:
        return failed_cell(net, 1, "out of memory")
    if fate < 0.1:
        return parity_failed_cell(net, 1)
    centre_ms = net.median_ms * math.exp(draw.gauss(0, 0.02))
    windows = [
        RoundSummary(index=i, count=9, median_ms=centre_ms * math.exp(draw.gauss(0, 0.01)), duration_s=0.1)
        for i in range(draw.choice([1, 2, 5, 10, 20]))
    ]
    made = cell(net, DENSE, 1).model_copy(update={"rounds": windows})
    return made.model_copy(update={"speedup": _speedup(draw, net)}) if net is not DENSE else made


def _speedup(draw: random.Random, net: Any) -> SpeedUp:
    """Around the network's own, and now and then so wide or so slow that it shows no gain."""
    ratio = DENSE.median_ms / net.median_ms * draw.choice([1, 1, 0.4])
    half = draw.choice([0.02, 0.7])
    interval = Interval(low=ratio * (1 - half), high=ratio * (1 + half), method="paired-rounds-t")
    return SpeedUp(ratio=ratio, interval=interval, rounds=10, baseline=DENSE.name)


def _printed(a: Path, b: Path) -> dict[str, Any]:
    found = gdws("compare", a, b, "--json")
    assert found.exit_code == 0, found.output
    printed: dict[str, Any] = json.loads(found.stdout)
    return printed


def _reported(made: BenchmarkResult) -> Any:
    return json.loads(render([made], ".json"))["results"][0]["verdicts"]


def _comparable(comparison: dict[str, Any]) -> dict[str, Any]:
    sides = {
        name: {field: value for field, value in comparison[name].items() if field not in _NAMES} for name in ("a", "b")
    }
    return {**comparison, **sides}


def _settled_despite_overlap(printed: dict[str, Any], a: BenchmarkResult, b: BenchmarkResult) -> int:
    """How many cells are faster or slower although the ranges of their windows overlap."""
    settled = {each["key"]["variant"] for each in printed["cells"] if each["verdict"] in ("faster", "slower")}
    ranges = [
        {each.key.variant: [window.median_ms for window in each.rounds] for each in one.job.cells} for one in (a, b)
    ]
    return sum(
        min(ranges[0][name]) <= max(ranges[1][name]) and min(ranges[1][name]) <= max(ranges[0][name])
        for name in settled
    )
