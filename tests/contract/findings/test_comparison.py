"""Two results side by side."""

from __future__ import annotations

import dataclasses
import math
from typing import List

import pytest

from gdws_contract.findings.comparison import Comparison, Run, compare
from gdws_contract.findings.intervals import LARGEST
from gdws_contract.measures import Interval, RoundSummary
from gdws_contract.rest import BenchmarkResult, Cell
from support.benchmark_results import (
    DENSE,
    KEPT,
    Net,
    cell,
    failed_cell,
    jetson_result,
    parity_failed_cell,
    profiled_cell,
    result,
)


def between(a: BenchmarkResult, b: BenchmarkResult) -> Comparison:
    return compare(*(Run(name, each.job, each.device, each.manifest, False) for name, each in zip("ab", (a, b))))


def with_windows(medians_ms: List[float]) -> BenchmarkResult:
    windows = [RoundSummary(index=i, count=9, median_ms=m, duration_s=0.1) for i, m in enumerate(medians_ms)]
    return result([DENSE], cells=[cell(DENSE, DENSE, 1).model_copy(update={"rounds": windows})])


@pytest.mark.parametrize(
    ("median_ms", "verdict"),
    [(1.0, "faster"), (4.0, "slower"), (2.0, "not distinguishable"), (2.01, "not distinguishable")],
)
def test_a_verdict_needs_the_whole_interval(median_ms: float, verdict: str) -> None:
    (found,) = between(result([DENSE]), result([dataclasses.replace(DENSE, median_ms=median_ms)])).cells
    assert found.verdict == verdict
    assert found.speedup is not None
    assert found.speedup.low <= found.speedup.value <= found.speedup.high
    assert found.speedup.value == pytest.approx(2.0 / median_ms)


def test_profiles_are_compared_layer_by_layer_of_the_source() -> None:
    one, other = (result([net], cells=[profiled_cell(net)]) for net in (DENSE, KEPT))
    found = between(one, other)
    assert (found.cells, found.only_a, found.only_b) == ((), (), ())
    [profiles] = found.profiles
    assert (profiles.a.variant, profiles.b.variant) == (DENSE.name, KEPT.name)
    assert [(layer.source, layer.a_ms, layer.b_share) for layer in profiles.layers] == [
        ("conv1", 0.75, 0.75),
        ("(none)", 0.25, 0.25),
    ]


def test_several_profiles_are_matched_by_their_keys_and_times_of_others_stay() -> None:
    both = [profiled_cell(DENSE), profiled_cell(KEPT)]
    found = between(result([DENSE, KEPT], cells=both), result([DENSE, KEPT], cells=[both[1], cell(DENSE, DENSE, 1)]))
    assert [(each.a, each.b) for each in found.profiles] == [(both[1].key, both[1].key)]
    assert [each.key.variant for each in found.cells] == [DENSE.name]
    assert found.cells[0].verdict == "not measured"


def test_swapped_results_give_the_inverse() -> None:
    a, b = with_windows([2.0, 2.2, 2.1]), with_windows([1.0, 1.3, 1.2, 1.1])
    (there,), (back,) = between(a, b).cells, between(b, a).cells
    assert there.speedup is not None
    assert back.speedup is not None
    assert there.speedup.value == pytest.approx(1 / back.speedup.value)
    assert there.speedup.low == pytest.approx(1 / back.speedup.high)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (failed_cell(DENSE, 1, "out of memory"), "B: out of memory"),
        (parity_failed_cell(DENSE, 1), "B: logits differ by 0.31 of the largest, more than 0.001"),
    ],
)
def test_a_cell_without_times_says_why(other: Cell, reason: str) -> None:
    (found,) = between(result([DENSE]), result([DENSE], cells=[other])).cells
    assert (found.verdict, found.speedup, found.reason) == ("not measured", None, reason)
    assert found.median_b_ms is None


def test_one_window_is_not_enough() -> None:
    (found,) = between(with_windows([2.0]), result([DENSE])).cells
    assert (found.verdict, found.reason) == ("not measured", "an interval needs two windows of each")


def test_cells_of_one_result_alone_are_named() -> None:
    found = between(result([DENSE, KEPT]), result([DENSE], batch_sizes=(1, 8)))
    assert [each.key.variant for each in found.cells] == ["dense"]
    assert [key.variant for key in found.only_a] == ["mean-rank-4"]
    assert [key.batch_size for key in found.only_b] == [8]


def test_nothing_in_common_leaves_every_cell_alone() -> None:
    found = between(result([DENSE]), result([Net("other")]))
    assert found.cells == ()
    assert ([key.variant for key in found.only_a], [key.variant for key in found.only_b]) == (["dense"], ["other"])


def test_energy_is_compared_where_both_have_an_interval() -> None:
    (found,) = between(jetson_result([DENSE]), jetson_result([dataclasses.replace(DENSE, median_ms=1.0)])).cells
    assert found.energy_saving is not None
    assert found.energy_saving.value == pytest.approx(2.0)
    assert math.log(found.energy_saving.high / 2) == pytest.approx(math.hypot(math.log(1.02), -math.log(0.98)))
    (plain,) = between(result([DENSE]), result([DENSE])).cells
    assert plain.energy_saving is None


def test_figures_that_no_device_could_have_stay_within_json() -> None:
    made = jetson_result([DENSE])
    power = made.job.cells[0].power
    assert power is not None
    ends = [1e-300, 1e300]
    extreme = [
        made.job.cells[0].model_copy(
            update={
                "rounds": with_windows([end, 1.0]).job.cells[0].rounds,
                "power": power.model_copy(
                    update={"energy_per_inference_mj": end, "energy_interval": Interval(low=end, high=end, method="")}
                ),
            }
        )
        for end in ends
    ]
    (found,) = between(*(result([DENSE], cells=[each]) for each in reversed(extreme))).cells
    assert found.verdict == "not distinguishable"
    assert found.speedup is not None
    assert found.speedup.high == LARGEST
    assert found.energy_saving is not None
    assert found.energy_saving.value == LARGEST


def test_accuracy_on_the_device_is_compared() -> None:
    worse = cell(DENSE, DENSE, 1)
    assert worse.parity is not None
    fewer = worse.parity.natural.model_copy(update={"successes": 116, "value": 116 / 128})
    worse = worse.model_copy(update={"parity": worse.parity.model_copy(update={"natural": fewer, "robust": None})})
    (found,) = between(result([DENSE]), result([DENSE], cells=[worse])).cells
    assert found.natural_change is not None
    assert found.natural_change.points == pytest.approx(-100 * 10 / 128)
    assert found.robust_change is None
