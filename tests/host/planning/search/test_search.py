from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gdws.errors import GdwsError
from gdws.pipeline.optimize.forms import as_planned
from gdws.planning.search.evidence import Loss, Measurement, PointsLost, Timing
from gdws.planning.search.goals import AccuracyLimits, Effort, Goal
from gdws.planning.search.search import Answer, Search
from gdws.planning.search.space import Choice, LayerOptions, Space
from support.simulated_device import SimulatedJudge, SimulatedMeter, make_space

LIMITS = AccuracyLimits(1.0, 2.0)
TIMID, BOLD = Effort(), Effort(bold=True)


def _search(
    goal: Goal, meter: SimulatedMeter, limits: AccuracyLimits = LIMITS, effort: Effort = TIMID
) -> tuple[Answer, SimulatedJudge]:
    judge = SimulatedJudge(meter.space, bias=0.1)
    return Search(meter.space, meter, judge, goal, limits, effort=effort).run(), judge


@pytest.mark.parametrize("effort", [TIMID, BOLD], ids=["timid", "bold"])
@pytest.mark.parametrize("seed", range(3))
def test_the_fastest_network_within_the_limits_is_close_to_the_best_of_all(seed: int, effort: Effort):
    meter = SimulatedMeter(make_space(layers=4, seed=seed), seed=seed)
    answer, judge = _search(Goal("fastest"), meter, effort=effort)
    assert answer.status == "delivered"
    allowed = [c for c in itertools.product(range(6), repeat=4) if LIMITS.excess(judge.loss(c)) <= 1]
    best = min(map(meter.law.of, allowed))
    assert meter.law.of(answer.choices[0]) <= 1.08 * best
    assert LIMITS.excess(answer.final[answer.choices[0]]) <= 1


def test_a_bold_search_judges_the_fastest_first_and_no_other_where_that_is_kept():
    meter = SimulatedMeter(make_space(4))
    answer, judge = _search(Goal("fastest"), meter, AccuracyLimits(100.0, 100.0), BOLD)
    assert judge.asked == [answer.choices[0]] * 2  # on the images of choices, then on the final ones
    assert meter.law.of(answer.choices[0]) <= 1.02 * min(map(meter.law.of, itertools.product(range(6), repeat=4)))


def test_noise_that_hides_a_gain_says_how_much_longer_would_tell():
    assert Timing((1,), 0.98, 0.03).times_longer() == 9  # (1.96 * 0.03 / 0.02) squared
    assert Timing((1,), 0.5, 0.03).times_longer() is None
    assert Timing((1,), 1.01, 0.03).times_longer() is None


def test_a_latency_is_met_with_little_error():
    meter = SimulatedMeter(make_space(5))
    bound = meter.law.of(meter.space.dense) / 1.6
    answer, _ = _search(Goal("max_latency_ms", bound), meter)
    assert answer.status == "delivered"
    assert meter.law.of(answer.choices[0]) <= bound


def test_energy_is_bounded_where_power_is_measured():
    meter = SimulatedMeter(make_space(5), mj_per_ms=12.0)
    bound = 12.0 * meter.law.of(meter.space.dense) / 1.5
    answer, _ = _search(Goal("max_energy_mj", bound), meter)
    assert answer.status == "delivered"
    assert 12.0 * meter.law.of(answer.choices[0]) <= bound
    with pytest.raises(GdwsError, match="measures no energy"):
        _search(Goal("max_energy_mj", 1.0), SimulatedMeter(make_space(5)))


def test_a_front_has_faster_and_faster_networks():
    meter = SimulatedMeter(make_space(5))
    answer, _ = _search(Goal("pareto", 4), meter)
    costs = [meter.law.of(choice) for choice in answer.choices]
    assert len(costs) == 4
    assert costs == sorted(costs, reverse=True)
    assert set(answer.final) == set(answer.choices)


@pytest.mark.parametrize(
    ("goal", "limits", "status", "words"),
    [
        (
            Goal("max_latency_ms", 0.1),
            LIMITS,
            "declined",
            r"no network was measured to take 0\.1 ms: the fastest takes",
        ),
        (Goal("min_speedup", 2.5), AccuracyLimits(0.01, 0.01), "declined", r"lose more accuracy than is allowed: .*"),
        (Goal("fastest"), AccuracyLimits(0.0, 0.0), "declined", "no network keeps the accuracy limits"),
        (Goal("max_latency_ms", 1e3), LIMITS, "dense suffices", "the dense network takes .* as it is"),
    ],
)
def test_a_goal_that_cannot_be_met_is_declined_with_the_reason(
    goal: Goal, limits: AccuracyLimits, status: str, words: str
):
    answer, _ = _search(goal, SimulatedMeter(make_space(5)), limits)
    assert (answer.status, answer.choices) == (status, ())
    assert re.search(words, answer.reason)


def test_where_no_layer_gains_the_network_stays_dense():
    meter = SimulatedMeter(make_space(5), fastest=1.5)
    answer, _ = _search(Goal("fastest"), meter)
    assert answer.status == "declined"
    assert "none is faster" in answer.reason


def test_networks_of_no_eligible_layer_and_of_one():
    none = make_space(0)
    assert _search(Goal("fastest"), SimulatedMeter(none))[0].reason.startswith("no layer has an option")
    plain = Space(tuple(LayerOptions(e.name, e.users, e.geometry, e.options[:1]) for e in make_space(2).layers))
    meter = SimulatedMeter(plain)
    assert _search(Goal("fastest"), meter)[0].status == "declined"
    assert meter.jobs == []
    assert _search(Goal("min_speedup", 1.5), SimulatedMeter(make_space(1)))[0].status == "delivered"


def test_nothing_is_measured_twice_but_to_confirm():
    meter = SimulatedMeter(make_space(5))
    answer, judge = _search(Goal("fastest"), meter)
    confirmed = [timing.choice for timing in answer.confirmed.timings] if answer.confirmed else []
    assert sorted(meter.jobs) == sorted([*set(meter.jobs), *confirmed])
    asked_twice = len(judge.asked) - len(set(judge.asked))
    assert asked_twice == len(answer.final)


def test_predictions_that_are_off_keep_the_next_choice_close_to_what_was_measured():
    class Misleading(SimulatedMeter):
        """Networks with more than two converted layers take longer than any sum explains, as with a full cache."""

        def time(self, choices: Sequence[Choice], *, thorough: bool = False, repeat: int = 0) -> Measurement:
            found = super().time(choices, thorough=thorough, repeat=repeat)
            slowed = [
                timing.__class__(
                    timing.choice, timing.ratio * (1.6 if sum(map(bool, timing.choice)) > 2 else 1.0), 1e-3
                )
                for timing in found.timings
            ]
            return Measurement(tuple(slowed), found.dense_ms)

    meter = Misleading(make_space(layers=6))
    bound = 0.85 * meter.law.of(meter.space.dense)
    answer, _ = _search(Goal("max_latency_ms", bound), meter)
    if answer.status == "delivered":
        assert answer.confirmed is not None
        assert answer.confirmed.timings[0].ratio * answer.confirmed.dense_ms <= bound
    else:
        assert "no network was measured to take" in answer.reason


@pytest.mark.parametrize(("factor", "status"), [(1.0, "delivered"), (3.0, "delivered"), (50.0, "declined")])
def test_where_the_final_images_refuse_everything_less_error_is_tried(factor: float, status: str):
    class Optimistic(SimulatedJudge):
        """The final images lose more than those that choices are made on."""

        def loss(self, choice: Choice, *, final: bool = False) -> Loss:
            found = super().loss(choice, final=final)
            return replace(found, robust=PointsLost((factor if final else 1.0) * found.robust.points, None, None, 1000))

    space = make_space(layers=5)
    judge = Optimistic(space, bias=0.1)
    answer = Search(space, SimulatedMeter(space), judge, Goal("fastest"), LIMITS).run()
    assert answer.status == status
    if status == "delivered":
        assert LIMITS.excess(answer.final[answer.choices[0]]) <= 1
        assert answer.confirmed is not None
        assert answer.choices[0] in [timing.choice for timing in answer.confirmed.timings]
    else:
        assert "on the final images it loses" in answer.reason
    assert max(map(judge.asked.count, answer.final)) == 2  # once on either kind of images
    refused = [space.error(choice) for choice in answer.refused]
    told = as_planned(answer).doubts
    assert told == (
        (f"the test images refused {len(refused)} networks that the validation images had allowed",)
        if factor == 3.0
        else ()
    )
    assert all(space.error(choice) < min(refused, default=math.inf) for choice in answer.choices)


class Alike(SimulatedJudge):
    """Every network loses half a point, and nine on the final images."""

    def loss(self, choice: Choice, *, final: bool = False) -> Loss:
        super().loss(choice, final=final)
        lost = PointsLost(9.0 if final else 0.5, None, None, 1000)
        return Loss(lost, lost)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (LIMITS, "on the final images it loses 9.0 points of natural accuracy and 9.0 points of robust accuracy"),
        (
            AccuracyLimits(0.1, 0.1),
            "no network keeps the accuracy limits and saves time (0.5 points of natural accuracy and 0.5 points of "
            "robust accuracy)",
        ),
    ],
)
def test_a_reason_that_several_networks_share_is_given_once(limits: AccuracyLimits, reason: str):
    space = make_space(5)
    judge = Alike(space)
    answer = Search(space, SimulatedMeter(space), judge, Goal("fastest"), limits).run()
    assert answer.status == "declined"
    assert len(set(judge.asked)) > 1
    assert answer.reason == reason


def test_a_bound_within_the_noise_says_to_measure_longer():
    meter = SimulatedMeter(make_space(1), noise=0.2)
    best = min(map(meter.law.of, itertools.product(range(6))))
    answer, _ = _search(Goal("max_latency_ms", 1.05 * best), meter, AccuracyLimits(100.0, 100.0))
    assert answer.status == "declined"
    assert re.search(r"the fastest takes .*, but up to .* by its 95 % interval; measure longer", answer.reason)
