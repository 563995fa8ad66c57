"""When a gate stops, and how often it is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gdws.gate.sequential import Bound, Question, Spread, Trial, bound, look_after

LIMIT = math.log(1.03)
CALIBRATED = Question(LIMIT, distance=LIMIT, spread=Spread(0.01, 10))
UNCALIBRATED = Question(LIMIT, distance=LIMIT)


def gate(
    draw: np.random.Generator, slowdown: float, sd: float, question: Question, *, questions: int = 1, max_runs: int = 24
) -> Trial:
    """One gate whose runs observe ``slowdown`` with a normal error of ``sd``, all questions independently."""
    trial = Trial({f"q{index}": question for index in range(questions)}, max_runs)
    while trial.wants_run:
        trial.add({name: math.log(slowdown) + draw.normal(0, sd) for name in trial.questions})
    return trial


def answers(slowdown: float, sd: float, question: Question, *, gates: int = 500, **options: int) -> dict[str, float]:
    """How often each answer is given by any question of a gate."""
    draw = np.random.default_rng(11)
    found = [{f.answer for f in gate(draw, slowdown, sd, question, **options).findings.values()} for _ in range(gates)]
    return {
        answer: sum(answer in each for each in found) / gates for answer in ("below", "above", "open", "unconfirmed")
    }


# How often it is wrong


@pytest.mark.parametrize("question", [CALIBRATED, UNCALIBRATED])
@pytest.mark.parametrize("sd", [0.005, 0.01])
def test_no_change_passes_and_a_twentieth_fails(question: Question, sd: float) -> None:
    same, slower = answers(1.0, sd, question), answers(1.05, sd, question)
    assert same["above"] == 0
    assert same["below"] > 0.98
    assert slower["above"] > 0.95
    assert slower["below"] == 0


@pytest.mark.parametrize("questions", [1, 4])
@pytest.mark.parametrize("question", [CALIBRATED, UNCALIBRATED])
def test_at_the_limit_itself_it_errs_no_more_often_than_it_says(question: Question, questions: int) -> None:
    found = answers(1.03, 0.01, question, questions=questions)
    assert found["above"] + found["unconfirmed"] <= 0.02  # 1 %, and the chance of 500 gates
    assert found["below"] <= 0.02 * questions


@pytest.mark.parametrize("times", [1.5, 2, 4])
def test_on_a_noisier_device_gates_are_inconclusive_rather_than_wrong(times: float) -> None:
    at_limit, same, slower = (answers(slowdown, 0.01 * times, CALIBRATED) for slowdown in (1.03, 1.0, 1.05))
    assert at_limit["above"] <= 0.02  # in place of 0.001
    assert at_limit["below"] <= 0.05  # in place of 0.01
    assert same["above"] == 0
    assert slower["below"] <= 0.02


# When it stops


def test_a_quiet_device_needs_fewer_runs() -> None:
    sizes = [look_after({"q": Question(LIMIT, LIMIT, Spread(sd, 10))}, 64)[0] for sd in (0.002, 0.01, 0.02, 0.05)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 4
    assert len(set(sizes)) == 3


def test_looks_double_and_end_at_the_budget() -> None:
    assert look_after({"q": UNCALIBRATED}, 24) == (6, 12, 24)
    assert look_after({"q": UNCALIBRATED}, 23) == (6, 12)
    assert look_after({"q": UNCALIBRATED}, 5) == (4,)
    assert look_after({}, 24)[0] == 2
    assert all(
        runs % 2 == 0 for sd in (0.003, 0.013, 0.02) for runs in look_after({"q": Question(0, 0.03, Spread(sd, 9))}, 99)
    )


def test_it_stops_early_when_clear_and_goes_on_when_not() -> None:
    draw = np.random.default_rng(3)
    assert gate(draw, 1.0, 0.001, CALIBRATED).findings["q0"].bound.runs == 4  # type: ignore[union-attr]
    near = gate(draw, 1.03, 0.001, Question(LIMIT, LIMIT, Spread(0.001, 10)), max_runs=8)
    assert near.findings["q0"].answer == "open"
    assert near.findings["q0"].bound.runs == near.looks[-1] == 8  # type: ignore[union-attr]


def test_runs_to_the_next_look_are_counted_down() -> None:
    trial = Trial({"q": UNCALIBRATED}, 24)
    seen = []
    while trial.wants_run:
        seen.append(trial.runs_to_next_look)
        trial.add({"q": 0.0})
    assert seen == [6, 5, 4, 3, 2, 1]
    assert trial.runs_to_next_look == 0


def test_after_a_look_that_is_not_clear_the_runs_to_the_next_one_are_counted_down() -> None:
    trial = Trial({"q": UNCALIBRATED}, 24)
    observe(trial, *[UNCALIBRATED.limit - 0.01, UNCALIBRATED.limit + 0.01] * 3)
    assert trial.wants_run
    assert trial.looks[:2] == (6, 12)
    assert trial.runs_to_next_look == 6


# Confirmation


def observe(trial: Trial, *values: float) -> None:
    for value in values:
        trial.add({"q": value})


def test_a_figure_above_the_limit_is_confirmed_by_further_runs() -> None:
    trial = Trial({"q": CALIBRATED}, 24)
    first = trial.looks[0]
    observe(trial, *[0.08, 0.081] * (first // 2))
    assert trial.wants_run
    assert trial.findings["q"].answer == "above"
    observe(trial, *[0.079, 0.08] * (first // 2))
    assert not trial.wants_run
    found = trial.findings["q"]
    assert found.answer == "above"
    assert found.bound is not None
    assert found.confirmation is not None
    assert found.bound.mean == pytest.approx(0.0805)
    assert found.confirmation.mean == pytest.approx(0.0795)


def test_what_a_rerun_does_not_show_again_is_not_said() -> None:
    trial = Trial({"q": CALIBRATED}, 24)
    observe(trial, *[0.08] * trial.looks[0])
    observe(trial, *[0.0] * trial.looks[0])
    assert (trial.findings["q"].answer, trial.wants_run) == ("unconfirmed", False)


def test_a_rerun_that_is_not_clear_goes_on_for_four_times_as_long() -> None:
    trial = Trial({"q": CALIBRATED}, 24)
    first = trial.looks[0]
    observe(trial, *[0.08] * first)
    further = 0
    while trial.wants_run:
        trial.add({"q": LIMIT})
        further += 1
    assert (trial.findings["q"].answer, further) == ("unconfirmed", 4 * first)


def test_each_question_is_confirmed_by_itself() -> None:
    trial = Trial({"a": CALIBRATED, "b": CALIBRATED}, 24)
    first = trial.looks[0]
    for _ in range(first):
        trial.add({"a": 0.08, "b": 0.08})
    for _ in range(first):
        trial.add({"a": 0.08, "b": 0.0})
    assert {name: finding.answer for name, finding in trial.findings.items()} == {"a": "above", "b": "unconfirmed"}
    assert not trial.wants_run


def test_a_question_without_an_observation_is_missing_and_the_others_go_on() -> None:
    trial = Trial({"a": UNCALIBRATED, "b": UNCALIBRATED}, 24)
    for index in range(6):
        trial.add({"a": None if index == 2 else 0.0, "b": 0.0})
    assert (trial.findings["a"].answer, trial.findings["b"].answer) == ("missing", "below")
    assert not trial.wants_run


def test_without_questions_two_runs_do() -> None:
    trial = Trial({}, 24)
    trial.add({})
    assert trial.wants_run
    trial.add({})
    assert not trial.wants_run


# The interval


def test_an_interval_without_calibration_is_students() -> None:
    values = (0.01, 0.02, 0.00, 0.03)
    low, high = stats.t.interval(0.99, 3, loc=np.mean(values), scale=stats.sem(values))
    assert bound(values, UNCALIBRATED, 0.005) == Bound(
        pytest.approx(0.015), pytest.approx(low), pytest.approx(high), 0.005, 4
    )


def test_a_calibrated_spread_is_pooled() -> None:
    values = (0.01, 0.02)
    found = bound(values, CALIBRATED, 0.005)
    pooled = math.sqrt((1 * np.var(values, ddof=1) + 9 * 0.01**2) / 10)
    assert found is not None
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.995, 10) * pooled / math.sqrt(2))


def test_a_reference_adds_its_own_uncertainty() -> None:
    question = Question(LIMIT, reference=(1.0, 1.1, 0.9))
    values = (1.2, 1.3, 1.1, 1.2)
    expected = stats.ttest_ind(values, question.reference).confidence_interval(0.99)
    found = bound(values, question, 0.005)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_observation_without_a_spread_tells_nothing() -> None:
    assert bound((0.1,), UNCALIBRATED, 0.005) is None
    assert bound((0.1,), CALIBRATED, 0.005) is not None
