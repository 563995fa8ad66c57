import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.requests.estimate import bounded_pace, longest_run_ms, planned_s, remaining_s, shortest_s
from gdws_contract.attacks import AttackOptions
from gdws_contract.pacing import Pacing
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import Protocol
from support.agents import resolved

MODEL = "a" * 64
PROTOCOL = Protocol(warmup_ms=500, min_duration_ms=2_000, sustained_ms=1_500, idle_ms=3_000)

TIMES = st.floats(0, 1e6)


def test_the_shortest_time_is_that_of_the_protocol():
    request = resolved(MODEL, batch_sizes=[1, 8], protocol=PROTOCOL)  # two groups of two cells

    assert shortest_s(request) == 2 * 3 + 4 * 4
    assert planned_s(request) > shortest_s(request)


def test_a_profile_has_no_time_of_a_protocol():
    assert shortest_s(resolved(MODEL, profile=ProfileOptions(), protocol=PROTOCOL)) == 0


def test_an_attack_is_planned_by_its_queries():
    attacks = [AttackOptions(norm="linf", eps=0.1, queries=n, images=10) for n in (10, 1000)]
    few, many = (resolved(MODEL, attack=attack, protocol=PROTOCOL) for attack in attacks)
    assert shortest_s(few) == shortest_s(many) == 0
    assert planned_s(many) - planned_s(few) == pytest.approx(2 * 10 * 990 * 0.001)


@pytest.mark.parametrize(
    ("pacing", "paced_s"),
    [
        (Pacing(rate_hz=30, duration_ms=20_000), 20),
        (Pacing(arrivals_ms=[0, 500, 7_000], deadline_ms=5), 7),
        (Pacing(search=True, duration_ms=20_000), 0),  # it may end at its first rate
    ],
)
def test_arrivals_by_a_clock_take_their_time(pacing, paced_s):
    request = resolved(MODEL, batch_sizes=[1, 8], protocol=PROTOCOL)
    paced = request.model_copy(update={"pacing": pacing})
    assert shortest_s(paced) == shortest_s(request) + 4 * paced_s
    assert planned_s(paced) > planned_s(request)
    assert longest_run_ms(pacing) >= max(1e3 * paced_s, 7_000)
    assert longest_run_ms(None) == 0


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
