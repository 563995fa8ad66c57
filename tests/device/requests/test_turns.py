import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.requests.turns import Turns, Waiting

TIMES = st.floats(0, 1e6)
WAITING = st.lists(
    st.builds(Waiting, st.uuids().map(str), TIMES, st.sampled_from([None, "a", "b"])), unique_by=lambda each: each.id
)


@given(WAITING, TIMES, st.floats(0.001, 100), st.sampled_from([None, "a"]))
def test_every_job_has_one_place_and_none_begins_before_the_one_ahead_ends(waiting, running_s, pace, lease_id):
    line = Turns(waiting, lease_id)
    ordered = [line.turn(job_id, running_s, pace) for job_id in line.ids]

    assert sorted(line.ids) == sorted(each.id for each in waiting)
    assert [turn.position for turn in ordered] == list(range(len(waiting)))
    timed = [turn.estimate for turn in ordered if not turn.waits_for_lease]
    for ahead, behind in zip(timed, timed[1:]):
        assert ahead.ends_in_s == pytest.approx(behind.starts_in_s, abs=0.11)
    assert all(turn.estimate.starts_in_s is None for turn in ordered if turn.waits_for_lease)


def test_under_a_lease_its_jobs_go_first_and_the_others_do_not_know_when():
    line = Turns([Waiting("x", 10), Waiting("y", 20, "a"), Waiting("z", 5, "b")], "a")
    found = {name: line.turn(name, 3.0, 1.0) for name in "xyz"}

    assert line.ids == ["y", "x", "z"]
    assert [found[name].position for name in line.ids] == [0, 1, 2]
    assert (found["y"].estimate.starts_in_s, found["y"].estimate.ends_in_s) == (3, 23)
    assert [found[name].waits_for_lease for name in line.ids] == [False, True, True]


def test_a_job_that_does_not_wait_has_no_turn():
    assert Turns([Waiting("x", 10)], None).turn("y", 0.0, 1.0) is None
