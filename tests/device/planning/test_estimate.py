from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.planning.estimate import Waiting, bounded_pace, planned_s, remaining_s, shortest_s, turns
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import Protocol
from support.agents import resolved

MODEL = "a" * 64
PROTOCOL = Protocol(warmup_ms=500, min_duration_ms=2_000, sustained_ms=1_500, idle_ms=3_000)

TIMES = st.floats(0, 1e6)
WAITING = st.lists(
    st.builds(Waiting, st.uuids().map(str), TIMES, st.sampled_from([None, "a", "b"])), unique_by=lambda each: each.id
)


def test_the_shortest_time_is_that_of_the_protocol():
    request = resolved(MODEL, batch_sizes=[1, 8], protocol=PROTOCOL)  # two groups of two cells

    assert shortest_s(request) == 2 * 3 + 4 * 4
    assert planned_s(request) > shortest_s(request)


def test_a_profile_has_no_time_of_a_protocol():
    assert shortest_s(resolved(MODEL, profile=ProfileOptions(), protocol=PROTOCOL)) == 0


def test_more_builds_are_planned_to_take_longer():
    request = resolved(MODEL)
    several = request.model_copy(update={"engine": request.engine.model_copy(update={"builds": 5})})
    assert planned_s(several) > planned_s(request)


@pytest.mark.parametrize(("run_s", "planned", "pace"), [(20, 10, 2), (0, 10, 1), (10, 0, 1), (1e9, 1, 100)])
def test_a_pace_is_what_was_seen_within_reason(run_s, planned, pace):
    assert bounded_pace(run_s, planned) == pace


def test_before_its_first_cell_a_job_is_judged_by_others():
    assert remaining_s(100, 0.0, 0.0, 10.0, pace=2) == 190


def test_after_its_first_cells_a_job_is_judged_by_itself():
    # A quarter took 50 s where 25 were planned, so three quarters will take 150; 30 of these are over.
    assert remaining_s(100, 0.25, 50, 30, pace=9) == 120


@given(TIMES, st.floats(0, 1), TIMES, TIMES, st.floats(0.001, 100))
def test_no_job_takes_less_than_nothing(planned, share, run_s, since_s, pace):
    assert remaining_s(planned, share, run_s, since_s, pace) >= 0


@given(WAITING, TIMES, st.floats(0.001, 100), st.sampled_from([None, "a"]))
def test_every_job_has_one_place_and_none_begins_before_the_one_ahead_ends(waiting, running_s, pace, lease_id):
    found = turns(waiting, running_s, pace, lease_id)

    ordered = sorted(found.values(), key=lambda turn: turn.position)
    assert [turn.position for turn in ordered] == list(range(len(waiting)))
    timed = [turn.estimate for turn in ordered if not turn.waits_for_lease]
    for ahead, behind in zip(timed, timed[1:]):
        assert ahead.ends_in_s == pytest.approx(behind.starts_in_s)
    assert all(turn.estimate.starts_in_s is None for turn in ordered if turn.waits_for_lease)


def test_under_a_lease_its_jobs_go_first_and_the_others_do_not_know_when():
    found = turns([Waiting("x", 10), Waiting("y", 20, "a"), Waiting("z", 5, "b")], 3.0, 1.0, "a")

    assert [found[name].position for name in ("y", "x", "z")] == [0, 1, 2]
    assert (found["y"].estimate.starts_in_s, found["y"].estimate.ends_in_s) == (3, 23)
    assert [found[name].waits_for_lease for name in ("y", "x", "z")] == [False, True, True]
