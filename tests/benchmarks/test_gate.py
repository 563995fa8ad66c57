"""The simulation of gates in benchmarks/gate, on made-up runs."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.gate import __main__ as script


def recorded(slowdown: float) -> list[dict[str, list[float]]]:
    draw = random.Random(slowdown)
    runs = []
    for _ in range(20):
        whole = draw.gauss(math.log(slowdown), 0.004)
        baseline = [2 * math.exp(draw.gauss(0, 0.02)) for _ in range(10)]
        candidate = [each * math.exp(whole + draw.gauss(0, 0.004)) for each in baseline]
        runs.append({"candidate": candidate, "baseline": baseline, "seconds": [3.0]})
    return runs


RUNS = {"same": recorded(1.0), "slower": recorded(1.06)}


@pytest.mark.parametrize(("kind", "word"), [("same", "PASS"), ("slower", "FAIL")])
@pytest.mark.parametrize("calibrated", [True, False])
def test_gates_are_simulated_from_recorded_runs(kind: str, word: str, calibrated: bool) -> None:
    found = script.simulate(RUNS, kind, 2.5, 12, calibrated=calibrated)
    assert found["count"] == 12
    assert found["outcomes"].get(word, 0) == 12
    assert found["seconds_median"] == pytest.approx(3.0 * round(found["seconds_median"] / 3.0))
    assert script.kept(found)


def test_a_run_keeps_baseline_and_candidate_of_a_round_together() -> None:
    rounds = {"candidate": [2.0, 20.0, 200.0], "baseline": [1.0, 10.0, 100.0], "seconds": [1.0]}
    draw = random.Random(0)
    assert [script.drawn([rounds], draw) for _ in range(5)] == pytest.approx([math.log(2)] * 5)


def test_a_broken_promise_is_seen() -> None:
    assert not script.kept({"candidate": "same", "count": 100, "outcomes": {"FAIL": 2, "PASS": 98}})
    assert not script.kept({"candidate": "slower", "count": 100, "outcomes": {"FAIL": 94, "INCONCLUSIVE": 6}})
    assert not script.kept({"candidate": "slower", "count": 100, "outcomes": {"FAIL": 97, "PASS": 3}})
