"""Open-loop arrivals on a fake clock, against Lindley's recursion."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.measuring.arrivals import HostClock, Log, at_rate, deadline_of, misses, schedule, serve
from gdws_agent.measuring.highest_rate import MAX_RUNS, RESOLUTION, search
from gdws_agent.measuring.paced import JITTER_P99_MS, bursts, jitter, paced_flags, summarise_paced
from gdws_agent.measuring.pacing import run_pacing
from gdws_contract.pacing import MAX_ARRIVALS, Pacing

MS = 1_000_000


class FakeClock:
    """Time passes where it is waited for, ``late_ns`` longer than asked, and where :meth:`step` is served."""

    def __init__(self, service_ns, late_ns=0):
        self.time_ns = 123_456
        self._service_ns = iter(service_ns)
        self._late_ns = late_ns

    def now_ns(self):
        return self.time_ns

    def wait_until(self, time_ns):
        self.time_ns = max(self.time_ns, time_ns) + self._late_ns

    def step(self):
        self.time_ns += next(self._service_ns)


def lindley(scheduled_ns, service_ns):
    """The waiting times of a queue with one server, by Lindley's recursion."""
    waits = [0]
    for at, after, service in zip(scheduled_ns, scheduled_ns[1:], service_ns):
        waits.append(max(0, waits[-1] + service - (after - at)))
    return waits


def queue_of(gaps, services):
    scheduled = [0]
    for gap in gaps:
        scheduled.append(scheduled[-1] + gap)
    count = min(len(scheduled), len(services))
    return scheduled[:count], services[:count]


QUEUES = st.builds(
    queue_of,
    st.lists(st.integers(0, 50 * MS), max_size=60),
    st.lists(st.integers(0, 80 * MS), min_size=1, max_size=61),
)


@given(QUEUES)
def test_waiting_times_are_those_of_lindleys_recursion(queue):
    scheduled, services = queue
    clock = FakeClock(services)
    log = serve(clock.step, scheduled, 10**15, clock)
    assert [start - at for at, start in zip(scheduled, log.started_ns)] == lindley(scheduled, services)
    assert [end - start for start, end in zip(log.started_ns, log.ended_ns)] == services
    found = summarise_paced(log, 10**15, "a step")
    expected = [wait + service for wait, service in zip(lindley(scheduled, services), services)]
    assert found.latency.max_ms == max(expected) / MS
    assert found.latency.mean_ms == pytest.approx(sum(expected) / len(expected) / MS)
    assert (found.served, found.missed.successes) == (len(scheduled), 0)


@given(QUEUES, st.integers(0, 60 * MS))
def test_misses_are_those_of_the_whole_queue_also_where_it_is_cut_short(queue, deadline):
    scheduled, services = queue
    clock = FakeClock(services)
    log = serve(clock.step, scheduled, deadline, clock)
    latencies = [wait + service for wait, service in zip(lindley(scheduled, services), services)]
    assert misses(log, deadline) == [latency > deadline for latency in latencies]


@given(QUEUES, st.integers(0, 60 * MS), st.integers(0, 5))
def test_a_run_that_is_given_up_has_missed_more_than_it_may(queue, deadline, allowed):
    scheduled, services = queue
    clock = FakeClock(services)
    log = serve(clock.step, scheduled, deadline, clock, give_up_after=allowed)
    latencies = [wait + service for wait, service in zip(lindley(scheduled, services), services)]
    truth = sum(latency > deadline for latency in latencies)
    assert (sum(misses(log, deadline)) > allowed) == (truth > allowed)


def test_a_device_that_is_too_slow_is_not_waited_for():
    clock = FakeClock([30 * MS] * 1_000)
    scheduled = at_rate(100, 1_000)
    log = serve(clock.step, scheduled, 50 * MS, clock)
    found = summarise_paced(log, 50 * MS, "a step")
    # Of arrivals every 10 ms, served in 30 ms each: the third waits 40 ms, so its latency is 70 ms.
    assert (found.arrivals, found.missed.successes) == (100, 98)
    assert found.served == 35  # the last began at 1,020 ms, and its deadline passed at 1,040 ms
    assert found.latency is None
    assert found.p999_ms is None
    assert "65 of 100" in found.withheld
    assert found.utilisation == 1.0
    assert found.bursts.longest == 98


def test_p999_needs_a_thousand_samples():
    services = [MS] * 999 + [5 * MS]
    for count, expected in ((999, None), (1_000, 1.0)):
        clock = FakeClock(services[-count:])
        log = serve(clock.step, at_rate(100, count * 10), 10 * MS, clock)
        found = summarise_paced(log, 10 * MS, "a step")
        assert found.p999_ms == expected
        assert (found.withheld is None) == (expected is not None)
        assert found.latency.max_ms == 5.0


def test_what_the_generator_adds_is_told_of_arrivals_that_found_the_device_free():
    services = [1 * MS, 25 * MS, 1 * MS, 1 * MS]  # the second makes the third and the fourth wait
    clock = FakeClock(services, late_ns=300_000)
    log = serve(clock.step, [0, 10 * MS, 20 * MS, 30 * MS], 100 * MS, clock)
    found = jitter(log)
    assert (found.count, found.median_ms, found.max_ms, found.p99_ms) == (2, 0.3, 0.3, None)


def test_a_late_generator_is_flagged():
    late_ns = round(1.5e6 * JITTER_P99_MS)
    for lateness, codes in ((0, []), (late_ns, ["late-generator"])):
        clock = FakeClock([MS] * 200, lateness)
        found = summarise_paced(serve(clock.step, at_rate(100, 2_000), 10 * MS, clock), 10 * MS, "a step")
        assert [flag.code for flag in paced_flags(found)] == codes


def test_no_arrival_that_found_the_device_free_has_no_jitter():
    assert jitter(Log([5], [], [], 10, 0.0)) is None


def test_bursts_are_runs_of_misses():
    assert bursts([False, True, True, False, True]) == bursts([True, False, True, True])
    found = bursts([False, True, True, False, True])
    assert (found.count, found.longest) == (2, 2)
    assert (bursts([False]).count, bursts([False]).longest) == (0, 0)


@given(st.floats(0.01, 1_000), st.floats(100, 10_000))
def test_arrivals_at_a_rate_are_evenly_spread_and_lie_before_the_end(rate, duration_ms):
    times = at_rate(rate, duration_ms)
    assert times[0] == 0
    assert len(times) >= 1
    assert all(abs(later - earlier - 1e9 / rate) <= 1 for earlier, later in zip(times, times[1:]))
    assert times[-1] <= duration_ms * 1e6
    assert len(times) == 1 or times[-1] + 1e9 / rate >= duration_ms * 1e6 - 1


def test_instants_are_scheduled_as_they_are_given():
    pacing = Pacing(arrivals_ms=[0, 0, 12.5], deadline_ms=20)
    assert list(schedule(pacing)) == [0, 0, 12_500_000]
    assert deadline_of(pacing, None) == 20 * MS
    assert deadline_of(Pacing(rate_hz=50), 50) == 20 * MS


@given(st.floats(0.5, 5_000), st.floats(0.2, 5))
def test_the_search_ends_at_the_highest_rate_that_holds(limit, guess):
    lowest, highest = 0.2, 100_000.0
    found = search(lambda rate: rate <= limit, limit * guess, lowest, highest)
    assert found.held <= limit < found.failed <= found.held * (1 + RESOLUTION)
    assert found.runs <= MAX_RUNS
    assert found.reason is None


def test_the_search_tells_why_it_has_one_end_alone():
    assert search(lambda rate: True, 10, 1, 30).held == 30
    assert "30 Hz is the highest" in search(lambda rate: True, 10, 1, 30).reason
    none = search(lambda rate: False, 10, 1, 30)
    assert (none.held, none.failed) == (None, 1)
    assert "not even 1 Hz" in none.reason


def test_a_rate_that_held_once_by_luck_is_not_sustained():
    answers = iter([True, False] + [True] * 100)
    found = search(lambda rate: rate < 9.5 and next(answers), 9, 1, 30)
    assert found.held < 9


def test_a_variant_of_known_service_time_sustains_what_queueing_theory_says():
    pacing = Pacing(rate_hz=50, duration_ms=2_000, deadline_ms=25, search=True)

    class Endless:
        def __next__(self):
            return 10 * MS

        def __iter__(self):
            return self

    clock = FakeClock(Endless())
    told = []
    found = run_pacing(clock.step, pacing, 10.0, "a step", told.append, clock).result
    assert found.run.missed.value == 0
    assert found.run.utilisation == pytest.approx(0.5, abs=0.01)
    assert (found.run.rate_hz, told[0]) == (pytest.approx(50), 50)
    # D/D/1 with a deadline of 25 ms and 10 ms of service. At 2 s, the last of n arrivals waits (n - 1)(10 ms - period).
    highest = max(rate for rate in range(90, 130) if _last_latency_ms(rate, 10.0, 2_000) <= 25)
    assert found.highest_rate.rate_hz == pytest.approx(highest, rel=RESOLUTION)
    assert found.highest_rate.missed_hz > found.highest_rate.rate_hz
    assert len(told) == 1 + found.highest_rate.runs


def _last_latency_ms(rate, service_ms, duration_ms):
    count = math.ceil(rate * duration_ms / 1e3)
    return service_ms + max(0.0, (count - 1) * (service_ms - 1e3 / rate))


def test_the_real_clock_does_not_return_early():
    clock = HostClock()
    due = clock.now_ns() + 3 * MS
    clock.wait_until(due)
    assert clock.now_ns() >= due
    clock.wait_until(due)  # which has passed


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "give rate_hz, arrivals_ms or search"),
        ({"rate_hz": 30, "arrivals_ms": [0, 1]}, "not both"),
        ({"arrivals_ms": [0, 1]}, "give deadline_ms"),
        ({"arrivals_ms": [1, 0], "deadline_ms": 5}, "ascending"),
        ({"rate_hz": 100_000, "duration_ms": 3_600_000}, f"more than {MAX_ARRIVALS:,} arrivals"),
        ({"rate_hz": 0}, "greater than 0"),
        ({"rate_hz": float("nan")}, "finite"),
    ],
)
def test_pacings_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Pacing(**fields)
