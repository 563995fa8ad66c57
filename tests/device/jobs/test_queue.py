import contextlib
import shutil
import threading

import pytest

from gdws_agent.board.clocks import ClockState
from gdws_agent.errors import (
    ClocksUnavailable,
    IdempotencyKeyReused,
    LeaseNotHeld,
    QueueFull,
    StorageFull,
)
from gdws_agent.jobs.queue import WAITING_FOR_DISK, JobQueue
from gdws_agent.jobs.run import WorkerSetup
from gdws_agent.probes import Probes
from gdws_agent.storage.checks import Ticket
from gdws_agent.storage.library import check_bundle
from gdws_contract.queueing import LeaseRequest, Limits
from support.agents import (
    PATIENCE_S,
    FakeWorker,
    agent,
    available,
    cell,
    codes,
    eventually,
    fake_probes,
    resolved,
    settings_for,
    states,
    until_final,
)
from support.boards import Board, clocks_of
from support.bundles import tiny_bundle

pytestmark = pytest.mark.timeout(PATIENCE_S)

THREE = ["dense", "a", "b"]


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.gdws", net="linear", variants=THREE)


class Bench:
    """One data folder whose agent can be started and stopped in turn, with workers that do as they are told.

    ``board`` is the Jetson that it runs on; without one there is no jtop.
    """

    def __init__(self, folder, bundle_path):
        self.folder = folder
        self.board = None
        self.worker = FakeWorker(folder / "worker")
        with self.agent() as service:
            copy = service.folder.uploads / "copy"
            shutil.copy(str(bundle_path), str(copy))
            self.model_id = service.library.add(check_bundle(copy))[0].id

    def agent(self, **settings):
        if self.board is not None:
            settings["clocks"] = clocks_of(self.board, self.state_file)
        return agent(self.folder / "data", self.worker, **settings)

    @property
    def state_file(self):
        return self.folder / "data" / "clocks.json"

    def run(self, actions=None, **request):
        """Submit a job, run it to its end and return it."""
        self.worker.set_actions(actions or {})
        with self.agent() as service, started(service.jobs) as jobs:
            return until_final(jobs, jobs.submit(self.request(**request)).id)

    def request(self, **fields):
        return resolved(self.model_id, **{"variants": THREE, **fields})


@pytest.fixture
def bench(tmp_path, bundle_path):
    return Bench(tmp_path, bundle_path)


@contextlib.contextmanager
def started(jobs):
    """A queue that runs within the context."""
    jobs.start()
    try:
        yield jobs
    finally:
        jobs.stop()


# The whole way


def test_a_job_measures_each_group_with_one_worker(bench):
    job = bench.run(batch_sizes=[1, 8])

    assert (job.state, job.error) == ("done", None)
    assert states(job) == {f"{variant}@{batch}": "done" for variant in THREE for batch in (1, 8)}
    assert [order["batch_size"] for order in bench.worker.orders()] == [1, 8]
    assert bench.worker.variants() == [THREE, THREE]
    assert (job.progress.cells_finished, job.progress.cells_total, job.progress.stage) == (6, 6, None)
    assert job.started_at <= job.finished_at


def test_the_order_says_where_the_bundle_and_the_cache_are(bench):
    bench.run(label="x")

    (order,) = bench.worker.orders()
    data = bench.folder / "data"
    assert order["bundle_path"] == str(data / "models" / f"{bench.model_id}.gdws")
    assert order["cache_dir"] == str(data / "cache")
    assert order["power_sensor"] == "none"


def test_jobs_run_one_at_a_time_oldest_first(bench):
    with bench.agent() as service:
        ids = [service.jobs.submit(bench.request(label=str(number))).id for number in range(3)]
        with started(service.jobs) as jobs:
            ended = [until_final(jobs, job_id) for job_id in ids]

    assert [order["job_id"] for order in bench.worker.orders()] == ids
    times = [time for job in ended for time in (job.started_at, job.finished_at)]
    assert times == sorted(times)


def test_a_bundle_whose_file_vanished_fails_the_job_as_a_whole(bench):
    with bench.agent() as service:
        service.library.path(bench.model_id).unlink()
        with started(service.jobs) as jobs:
            job = until_final(jobs, jobs.submit(bench.request()).id)

    assert (job.state, job.error.code, job.cells) == ("failed", "model-not-found", [])


# Workers that fail


@pytest.mark.parametrize(
    ("action", "code", "told"),
    [
        ("kill", "worker-crashed", "SIGKILL"),
        ("abort", "worker-crashed", "bad_alloc"),
        ("exit", "worker-crashed", "exited with status 3"),
        ("garbage", "worker-garbled", "not JSON"),
    ],
)
def test_a_variant_that_brings_the_worker_down_is_failed_and_the_others_are_measured(bench, action, code, told):
    job = bench.run({"a": action})

    assert job.state == "done"
    assert states(job) == {"a@1": "failed", "dense@1": "done", "b@1": "done"}
    assert codes(job) == {"a@1": code}
    assert told in job.cells[0].error.detail
    assert job.cells[0].finished_at is not None
    assert bench.worker.variants() == [THREE, ["dense", "b"]]


def test_every_variant_may_bring_the_worker_down(bench):
    job = bench.run({"dense": "kill", "a": "abort", "b": "exit"})

    assert job.state == "done"
    assert set(states(job).values()) == {"failed"}
    assert bench.worker.variants() == [THREE, ["a", "b"], ["b"]]


def test_without_its_baseline_a_group_is_measured_without_ratios(bench):
    job = bench.run({"dense": "kill"})

    assert states(job) == {"dense@1": "failed", "a@1": "done", "b@1": "done"}
    assert [kept.speedup for kept in job.cells] == [None, None, None]


def test_a_crash_in_one_group_leaves_the_others_alone(bench):
    job = bench.run({"a@8": "kill"}, batch_sizes=[1, 8, 16])

    assert [name for name, state in states(job).items() if state != "done"] == ["a@8"]
    assert len(job.cells) == 9


def test_a_crash_that_names_no_variant_fails_what_is_left_of_the_group_only(bench):
    job = bench.run({"dense@1": "fail", "a@1": "exit-unnamed"}, batch_sizes=[1, 8])

    assert codes(job) == {"dense@1": "build-failed", "a@1": "worker-crashed", "b@1": "worker-crashed"}
    assert [states(job)[f"{variant}@8"] for variant in THREE] == ["done"] * 3
    assert len(bench.worker.orders()) == 2


def test_a_failure_that_the_worker_reports_itself_is_not_tried_again(bench):
    job = bench.run({"dense": "fail", "a": "kill"})

    assert codes(job) == {"dense@1": "build-failed", "a@1": "worker-crashed"}
    assert bench.worker.variants() == [THREE, ["b"]]


def test_a_hung_variant_is_failed_by_the_watchdog(bench):
    bench.worker.set_actions({"a": "hang"})
    with bench.agent(build_timeout_s=0.3) as service, started(service.jobs) as jobs:
        job = until_final(jobs, jobs.submit(bench.request()).id)

    assert codes(job) == {"a@1": "worker-hung"}
    assert states(job) == {"a@1": "failed", "dense@1": "done", "b@1": "done"}


def test_a_worker_that_cannot_be_started_fails_every_cell(bench):
    bench.worker.command = ["/nonexistent/worker"]
    job = bench.run(batch_sizes=[1, 8])

    assert job.state == "done"
    assert set(codes(job).values()) == {"worker-crashed"}
    assert len(job.cells) == 6


def test_an_error_of_the_agents_own_fails_the_job_and_not_the_queue(bench, monkeypatch):
    with bench.agent() as service:
        monkeypatch.setattr("gdws_agent.jobs.run.plan_groups", lambda request: 1 / 0)
        with started(service.jobs) as jobs:
            failed = until_final(jobs, jobs.submit(bench.request()).id)
            monkeypatch.undo()
            after = until_final(jobs, jobs.submit(bench.request()).id)

    assert (failed.state, failed.error.code) == ("failed", "internal-error")
    assert after.state == "done"


# Progress


def test_a_running_job_shows_where_it_stands(bench):
    bench.worker.set_actions({"dense@8": "fail", "a@8": "hang"})
    with bench.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(bench.request(batch_sizes=[1, 8])).id
        bench.worker.wait_until_reached()
        eventually(lambda: jobs.job(job_id).progress.cell == cell("a", batch_size=8).key)
        job = jobs.job(job_id)
        assert jobs.running_id() == job_id
        (listed,) = jobs.jobs(10)

    assert job.state == "running"
    assert (job.progress.cells_finished, job.progress.cells_total) == (4, 6)
    assert (job.progress.stage, job.progress.cell.variant, job.progress.cell.batch_size) == ("build", "a", 8)
    assert listed == job.model_copy(update={"cells": []})


# Cancelling


def test_a_waiting_job_is_cancelled_at_once(bench):
    with bench.agent() as service:
        job_id = service.jobs.submit(bench.request()).id
        with service.jobs.until_final(job_id) as told:
            job = service.jobs.cancel(job_id)
            told.result(timeout=0)
        with started(service.jobs) as jobs:
            until_final(jobs, jobs.submit(bench.request()).id)

    assert (job.state, job.queue_position) == ("cancelled", None)
    assert len(bench.worker.orders()) == 1


@pytest.mark.parametrize("action", ["hang", "hang-deaf"])
def test_a_running_job_is_cancelled_with_its_finished_cells_kept(bench, action):
    bench.worker.set_actions({"a@8": action})
    with bench.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(bench.request(batch_sizes=[1, 8, 16])).id
        bench.worker.wait_until_reached()
        jobs.cancel(job_id)
        jobs.cancel(job_id)
        job = until_final(jobs, job_id)
        after = until_final(jobs, jobs.submit(bench.request()).id)

    assert job.state == "cancelled"
    assert states(job) == {f"{variant}@1": "done" for variant in THREE}
    assert after.state == "done"


def test_cancelling_what_has_ended_changes_nothing(bench):
    ended = bench.run()
    with bench.agent() as service:
        assert service.jobs.cancel(ended.id).state == "done"
        assert service.jobs.job(ended.id) == ended


# Restarts


def test_a_stopped_agent_goes_on_with_its_job_at_the_unfinished_group(bench):
    bench.worker.set_actions({"a@8": "hang"})
    with bench.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(bench.request(batch_sizes=[1, 8])).id
        bench.worker.wait_until_reached()
    with bench.agent() as service:
        waiting = service.jobs.job(job_id)
    bench.worker.set_actions({})
    with bench.agent() as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    assert (waiting.state, len(waiting.cells)) == ("queued", 3)
    assert job.state == "done"
    assert len(job.cells) == 6
    assert [order["batch_size"] for order in bench.worker.orders()] == [1, 8, 8]


def cut_off(bench, cells=(), times=1):
    """Leave a job as an agent that is killed leaves it, and return its id."""
    with bench.agent() as service:
        job_id = service.jobs.submit(bench.request(batch_sizes=[1, 8])).id
        store = service.jobs._store
        store.begin_next()
        for kept in cells:
            store.add_cell(job_id, kept)
        for _ in range(times - 1):  # the next start counts one more
            store.count_interruptions()
    return job_id


def test_after_a_kill_failed_cells_of_the_unfinished_group_are_not_repeated(bench):
    job_id = cut_off(bench, [cell("a", "parity_failed"), cell("dense", "done")])

    with bench.agent() as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    # The baseline was measured, but b is not: they must take turns, so both are measured again.
    assert bench.worker.variants() == [["dense", "b"], THREE]
    assert states(job)["a@1"] == "parity_failed"
    assert len(job.cells) == 6


def test_a_measured_cell_outlives_a_crash_in_its_repetition(bench):
    measured = cell("dense").model_copy(update={"fps": 77.0})
    job_id = cut_off(bench, [measured])
    bench.worker.set_actions({"dense@1": "kill"})

    with bench.agent() as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    assert bench.worker.variants() == [THREE, ["a", "b"], THREE]
    assert [kept for kept in job.cells if kept.key == measured.key] == [measured]
    assert set(states(job).values()) == {"done"}


def test_a_group_during_which_the_agent_died_too_often_is_given_up_and_the_next_is_measured(bench):
    job_id = cut_off(bench, [cell("dense", "failed")], times=2)

    with bench.agent(max_interruptions=2) as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    assert codes(job) == {"a@1": "agent-died", "b@1": "agent-died"}
    assert "died 2 times in a row" in job.cells[1].error.detail
    assert [states(job)[f"{variant}@8"] for variant in THREE] == ["done"] * 3
    assert bench.worker.variants() == [THREE]


def test_below_the_limit_the_group_is_tried_again(bench):
    job_id = cut_off(bench, times=2)

    with bench.agent(max_interruptions=3) as service, started(service.jobs) as jobs:
        assert set(states(until_final(jobs, job_id)).values()) == {"done"}


def test_a_job_that_brings_down_the_agent_in_group_after_group_ends_as_interrupted(bench):
    job_id = cut_off(bench, [cell("dense", "failed")], times=2)
    bench.worker.set_actions({"dense@8": "hang"})
    with bench.agent(max_interruptions=2) as service:
        store = service.jobs._store
        with started(service.jobs):  # gives up the first group, and dies in the second
            bench.worker.wait_until_reached()
        store.begin_next()
        store.count_interruptions()
    with bench.agent(max_interruptions=2) as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    assert (job.state, job.error.code) == ("interrupted", "agent-died")
    assert "each of two groups" in job.error.detail
    assert codes(job) == {"a@1": "agent-died", "b@1": "agent-died"}
    assert len(job.cells) == 3


# Whose turn it is


def test_jobs_of_a_higher_priority_go_first(bench):
    with bench.agent() as service:
        ids = {priority: service.jobs.submit(bench.request(priority=priority)).id for priority in (0, -3, 5, 1)}
        shown = {priority: service.jobs.job(job_id) for priority, job_id in ids.items()}
        with started(service.jobs) as jobs:
            for job_id in ids.values():
                until_final(jobs, job_id)

    assert [order["job_id"] for order in bench.worker.orders()] == [ids[p] for p in (5, 1, 0, -3)]
    assert {priority: job.queue_position for priority, job in shown.items()} == {5: 0, 1: 1, 0: 2, -3: 3}


def test_a_job_that_waits_knows_its_place_and_when_it_comes_to_its_turn(bench):
    with bench.agent() as service:
        first, second = (service.jobs.submit(bench.request()) for _ in range(2))
        listed = {job.id: job for job in service.jobs.jobs(10)}
        queue, running = service.queue(1)

    assert (first.queue_position, first.estimate.starts_in_s) == (0, 0)
    assert second.queue_position == 1
    assert second.estimate.starts_in_s == first.estimate.ends_in_s > 0
    assert listed == {first.id: first, second.id: second}
    assert ([job.id for job in queue.queued], queue.queued_total, running) == ([first.id], 2, None)


def test_a_running_job_knows_when_it_will_have_ended(bench):
    bench.worker.set_actions({"a@8": "hang"})
    with bench.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(bench.request(batch_sizes=[1, 8])).id
        waiting_id = jobs.submit(bench.request()).id
        bench.worker.wait_until_reached()
        running, waiting = jobs.job(job_id), jobs.job(waiting_id)
        _, shown = service.queue(10)

    assert running.estimate.ends_in_s is not None
    assert running.run_s > 0
    assert (running.queue_position, waiting.queue_position) == (None, 0)
    assert waiting.estimate.starts_in_s == pytest.approx(running.estimate.ends_in_s, abs=1)
    assert (shown.job.id, len(shown.cells)) == (job_id, 3)


def test_past_the_limit_jobs_are_refused_and_told_when_to_come_again(bench):
    with bench.agent(max_queued_jobs=2) as service:
        first, _ = (service.jobs.submit(bench.request()) for _ in range(2))
        with pytest.raises(QueueFull) as caught:
            service.jobs.submit(bench.request())
        service.jobs.cancel(first.id)
        service.jobs.submit(bench.request())

    assert caught.value.retry_after_s >= 1
    assert "--max-queued-jobs" in caught.value.hint


def test_a_request_that_is_sent_again_is_the_same_job(bench):
    ticket = Ticket(key="k", digest="d")
    with bench.agent(max_queued_jobs=1) as service:
        first = service.jobs.submit(bench.request(), ticket)
        again = service.jobs.submit(bench.request(), ticket)
        with pytest.raises(IdempotencyKeyReused, match=first.id):
            service.jobs.submit(bench.request(), Ticket(key="k", digest="other"))
        assert len(service.jobs.jobs(10)) == 1

    assert again == first


# Leases


def test_while_the_device_is_held_only_the_holders_jobs_are_begun(bench):
    with bench.agent() as service:
        others = service.jobs.submit(bench.request())
        lease = service.leases.take(LeaseRequest(holder="ada"))
        own = service.jobs.submit(bench.request(), Ticket(lease_id=lease.id))
        waiting = service.jobs.job(others.id)
        with started(service.jobs) as jobs:
            until_final(jobs, own.id)
            assert jobs.job(others.id).state == "queued"
            service.leases.release(lease.id)
            assert until_final(jobs, others.id).state == "done"

    assert [order["job_id"] for order in bench.worker.orders()] == [own.id, others.id]
    assert (own.lease_holder, own.queue_position, own.waits_for_lease) == ("ada", 0, False)
    assert (waiting.lease_holder, waiting.queue_position, waiting.waits_for_lease) == (None, 1, True)
    assert waiting.estimate.starts_in_s is None


def test_when_a_lease_ends_by_itself_the_queue_goes_on(bench):
    with bench.agent() as service, started(service.jobs) as jobs:
        service.leases.take(LeaseRequest(holder="ada", ttl_s=1))
        assert until_final(jobs, jobs.submit(bench.request()).id).state == "done"


def test_a_job_under_a_lease_that_is_not_in_force_is_refused(bench):
    with bench.agent() as service, pytest.raises(LeaseNotHeld):
        service.jobs.submit(bench.request(), Ticket(lease_id="nope"))


def test_a_lease_outlives_its_agent(bench):
    with bench.agent() as service:
        lease = service.leases.take(LeaseRequest(holder="ada"))
        others = service.jobs.submit(bench.request())
    with bench.agent() as service, started(service.jobs) as jobs:
        until_final(jobs, jobs.submit(bench.request(), Ticket(lease_id=lease.id)).id)
        assert jobs.job(others.id).state == "queued"


# Limits


def test_a_job_whose_time_is_up_keeps_what_it_has_and_says_so_of_the_rest(bench):
    bench.worker.set_actions({"a@8": "hang"})
    with bench.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(bench.request(batch_sizes=[1, 8, 16], limits=Limits(time_s=100.0))).id
        bench.worker.wait_until_reached()
        jobs._running.interrupt.request("time-limit")  # as it does itself, see the next test
        job = until_final(jobs, job_id)
        after = until_final(jobs, jobs.submit(bench.request()).id)

    assert (job.state, job.error.code) == ("failed", "time-limit-exceeded")
    assert [states(job)[f"{variant}@1"] for variant in THREE] == ["done"] * 3
    assert set(codes(job).values()) == {"time-limit-exceeded"}
    assert len(job.cells) == 9
    assert "limits.time_s" in job.error.hint
    assert after.state == "done"


def test_the_time_of_a_job_goes_on_where_it_was_after_a_restart(bench):
    with bench.agent() as service:
        job_id = service.jobs.submit(bench.request(batch_sizes=[1, 8], limits=Limits(time_s=100.0))).id
        service.jobs._store.begin_next()
        service.jobs._store.add_cell(job_id, cell(), run_s=100.0)
    with bench.agent() as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    assert (job.state, job.error.code) == ("failed", "time-limit-exceeded")
    assert states(job)["dense@1"] == "done"


def test_a_machine_without_threads_still_ends_a_job_in_time(bench, monkeypatch):
    bench.worker.set_actions({"dense@1": "hang"})
    with bench.agent() as service, started(service.jobs) as jobs:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        job = until_final(jobs, jobs.submit(bench.request(limits=Limits(time_s=0.5))).id)
        monkeypatch.undo()
        after = until_final(jobs, jobs.submit(bench.request(batch_sizes=[8])).id)

    assert (job.state, job.error.code) == ("failed", "time-limit-exceeded")
    assert after.state == "done"


def no_thread(thread):
    raise RuntimeError("can't start new thread")


def test_a_cell_that_takes_too_much_memory_is_failed_and_the_others_are_measured(bench):
    bench.worker.set_actions({"a": "hoard"})
    with bench.agent() as service, started(service.jobs) as jobs:
        job = until_final(jobs, jobs.submit(bench.request(limits=Limits(memory_mib=48))).id)

    assert codes(job) == {"a@1": "memory-limit-exceeded"}
    assert states(job) == {"a@1": "failed", "dense@1": "done", "b@1": "done"}
    assert "48 MiB" in job.cells[0].error.detail


# What happens, told


def test_whoever_subscribed_hears_what_happens_to_a_job_in_order(bench):
    heard = []
    with bench.agent() as service:
        service.jobs.events.subscribe(heard.append)
        with started(service.jobs) as jobs:
            job_id = until_final(jobs, jobs.submit(bench.request()).id).id
            eventually(lambda: heard[-1].state == "done")
        cancelled = service.jobs.submit(bench.request()).id
        service.jobs.cancel(cancelled)

    assert [change.state for change in heard if change.state] == ["queued", "running", "done", "queued", "cancelled"]
    assert [change.cell.key.variant for change in heard if change.cell is not None] == THREE
    assert {change.job_id for change in heard} == {job_id, cancelled}
    assert [change.progress["stage"] for change in heard if change.progress][-1] == "measure"


# What need not be kept


def test_the_queue_tidies_up_while_nothing_is_measured(bench, caplog):
    tidied = threading.Event()
    with bench.agent() as service:
        jobs = service.jobs

        def tidy():
            assert jobs.running_id() is None
            tidied.set()
            raise StorageFull("full")

        jobs._tidy = tidy
        with started(jobs):
            assert until_final(jobs, jobs.submit(bench.request()).id).state == "done"

    assert tidied.is_set()
    assert "retention failed: full" in caplog.text


# Power modes and clocks

FOUND = ClockState(power_mode="MODE_15W", jetson_clocks=False)


@pytest.fixture
def jetson(bench):
    bench.board = Board()
    return bench


def flags(job):
    """Return {``variant@batch``: flag codes} of the job's cells that have one."""
    told = {f"{cell.key.variant}@{cell.key.batch_size}": [flag.code for flag in cell.flags] for cell in job.cells}
    return {name: found for name, found in told.items() if found}


def test_each_mode_is_in_force_for_its_groups_and_given_back_in_the_end(jetson):
    job = jetson.run(power_modes=["MAXN", 3], jetson_clocks=True, batch_sizes=[1, 8])

    orders = jetson.worker.orders()
    assert [(each["power_mode"], each["power_mode_name"], each["jetson_clocks"]) for each in orders] == [
        ("MAXN", "MAXN", True),
        ("MAXN", "MAXN", True),
        (3, "MODE_30W", True),
        (3, "MODE_30W", True),
    ]
    assert [each["batch_size"] for each in orders] == [1, 8, 1, 8]
    assert (job.state, len(job.cells), flags(job)) == ("done", 12, {})
    assert {(kept.key.power_mode, kept.power_mode) for kept in job.cells} == {("MAXN", "MAXN"), (3, "MODE_30W")}
    assert jetson.board.state == FOUND
    assert [asked for asked in jetson.board.asked if "power_mode" in asked] == [
        {"power_mode": "MAXN"},
        {"power_mode": "MODE_30W"},
        {"power_mode": "MODE_15W"},
    ]
    assert not jetson.state_file.exists()


def test_a_mode_that_cannot_be_entered_costs_its_own_cells(jetson):
    job = jetson.run(power_modes=["MODE_10W", "MAXN", "MODE_99W"], batch_sizes=[1, 8])

    failed = {kept.key.power_mode: kept.error for kept in job.cells if kept.state == "failed"}
    assert {mode: error.code for mode, error in failed.items()} == {
        "MODE_10W": "power-mode-needs-reboot",
        "MODE_99W": "power-mode-unknown",
    }
    assert "nvpmodel -m 1" in failed["MODE_10W"].hint
    assert [each["power_mode"] for each in jetson.worker.orders()] == ["MAXN", "MAXN"]
    assert (job.state, len(job.cells), len([kept for kept in job.cells if kept.state == "done"])) == ("done", 18, 6)
    assert jetson.board.state == FOUND


def test_a_mode_that_is_not_set_is_reported_if_known(jetson):
    job = jetson.run()

    assert {(kept.key.power_mode, kept.power_mode, kept.jetson_clocks) for kept in job.cells} == {
        (None, "MODE_15W", False)
    }
    assert jetson.board.asked == []


@pytest.mark.parametrize("board", [None, Board(power_mode=None, jetson_clocks=None)])
def test_a_mode_that_is_not_set_may_be_unknown(bench, board):
    bench.board = board
    job = bench.run()

    assert set(states(job).values()) == {"done"}
    assert {(kept.power_mode, kept.jetson_clocks) for kept in job.cells} == {(None, None)}


def test_a_service_that_went_after_the_request_came_fails_the_cells_with_its_advice(jetson):
    jetson.board.gone = True
    job = jetson.run(jetson_clocks=True)

    assert set(codes(job).values()) == {"clocks-unavailable"}
    assert {kept.error.hint for kept in job.cells} == {"start it"}
    assert jetson.worker.orders() == []


@pytest.mark.parametrize("wish", [{"power_modes": ["MAXN"]}, {"jetson_clocks": True}])
def test_where_there_is_no_jtop_a_request_for_a_mode_is_refused_at_once(bench, wish):
    with bench.agent() as service:
        manifest = service.library.manifest(bench.model_id)
        with pytest.raises(ClocksUnavailable, match="cannot be set here") as caught:
            service.resolve(bench.request(**wish), manifest)
        assert service.resolve(bench.request(), manifest).power_modes is None
    assert caught.value.field == next(iter(wish))
    assert caught.value.hint


def test_cancelling_in_the_middle_of_a_change_of_mode_gives_back(jetson):
    reached = threading.Event()
    jetson.board.deaf = True
    jetson.board.on_look = lambda: reached.set() if jetson.board.asked else None
    clocks = clocks_of(jetson.board, jetson.state_file, timeout_s=1e9)
    with agent(jetson.folder / "data", jetson.worker, clocks=clocks) as service, started(service.jobs) as jobs:
        job_id = jobs.submit(jetson.request(power_modes=["MAXN"])).id
        assert reached.wait(PATIENCE_S)
        assert jobs.job(job_id).progress.stage == "power-mode"
        jobs.cancel(job_id)
        job = until_final(jobs, job_id)

    assert (job.state, job.cells) == ("cancelled", [])
    assert not jetson.state_file.exists()
    assert jetson.worker.orders() == []


@pytest.mark.parametrize("ending", ["cancel", "stop"])
def test_a_job_that_is_cut_short_gives_back(jetson, ending):
    jetson.worker.set_actions({"a": "hang"})
    with jetson.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(jetson.request(power_modes=["MAXN"])).id
        jetson.worker.wait_until_reached()
        assert jetson.board.state.power_mode == "MAXN"
        if ending == "cancel":
            jobs.cancel(job_id)
            until_final(jobs, job_id)
        else:
            jobs.stop()
        assert jetson.board.state == FOUND


def test_a_resumed_job_takes_its_mode_again(jetson):
    jetson.worker.set_actions({"a": "hang"})
    with jetson.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(jetson.request(power_modes=["MAXN", 3])).id
        jetson.worker.wait_until_reached()
    jetson.worker.set_actions({})
    with jetson.agent() as service, started(service.jobs) as jobs:
        job = until_final(jobs, job_id)

    assert [each["power_mode_name"] for each in jetson.worker.orders()] == ["MAXN", "MAXN", "MODE_30W"]
    assert {kept.state for kept in job.cells} == {"done"}
    assert jetson.board.state == FOUND


def test_what_an_agent_had_taken_when_it_died_is_given_back_at_the_next_start(jetson):
    clocks_of(jetson.board, jetson.state_file).take("MAXN", True)  # and here it dies

    with jetson.agent() as service, started(service.jobs):
        eventually(lambda: not jetson.state_file.exists())

    assert jetson.board.state == FOUND


def test_what_cannot_be_given_back_is_told_in_the_cells_and_tried_again(jetson, caplog):
    with jetson.agent() as service, started(service.jobs) as jobs:
        jetson.worker.set_actions({"b": "hang", "a": "fail"})
        job_id = jobs.submit(jetson.request(power_modes=["MAXN"])).id
        jetson.worker.wait_until_reached()
        jetson.board.gone = True
        jobs.cancel(job_id)
        told = jobs.job(until_final(jobs, job_id).id)

        # A failed cell has no figures to doubt, and the cells that the worker had not sent are not there.
        assert flags(told) == {}
        assert "could not be restored: the service is gone" in caplog.text
        assert jetson.board.state.power_mode == "MAXN"
        jetson.board.gone = False
        jetson.worker.set_actions({})
        after = until_final(jobs, jobs.submit(jetson.request()).id)

    assert {kept.power_mode for kept in after.cells} == {"MODE_15W"}
    assert jetson.board.state == FOUND


def test_clocks_that_are_not_given_back_are_a_doubt_about_every_measured_cell(jetson):
    board = jetson.board

    def go_with_the_last_worker():
        board.gone = board.gone or len(jetson.worker.orders()) == 1

    take = board.connect
    board.connect = lambda: (go_with_the_last_worker(), take())[1]
    job = jetson.run({"a": "fail"}, power_modes=["MAXN"])

    assert job.state == "done"
    assert flags(job) == {"dense@1": ["clocks-not-restored"], "b@1": ["clocks-not-restored"]}
    assert "the service is gone" in job.cells[-1].flags[0].detail
    assert len(job.cells) == 3
    assert jetson.state_file.exists()


def test_a_mode_that_somebody_else_chose_meanwhile_is_told(jetson):
    jetson.worker.set_actions({"b@8": "hang"})
    with jetson.agent() as service, started(service.jobs) as jobs:
        job_id = jobs.submit(jetson.request(power_modes=["MAXN"], batch_sizes=[1, 8])).id
        jetson.worker.wait_until_reached()
        jetson.board.state = ClockState(power_mode="MODE_30W", jetson_clocks=False)
        jobs.cancel(job_id)
        job = until_final(jobs, job_id)

    assert flags(job) == {f"{variant}@1": ["power-mode-changed"] for variant in THREE}
    assert jetson.board.state.power_mode == "MODE_30W"


def test_sensors_are_looked_for_before_any_other_request_to_the_board(jetson):
    """Two clients of the service disturb each other, and whoever asks for the device may be the second."""
    asked = []
    probes = fake_probes()
    probes.best_power_sensor = lambda: asked.append("sensors") or "none"
    connect = jetson.board.connect
    jetson.board.connect = lambda: (asked.append("clocks"), connect())[1]
    clocks_of(jetson.board, jetson.state_file).take("MAXN", None)
    asked.clear()
    with jetson.agent(probes=probes) as service, started(service.jobs) as jobs:
        until_final(jobs, jobs.submit(jetson.request()).id)

    assert asked[0] == "sensors"
    assert asked.count("clocks") == 2


# Simulated boards


@pytest.mark.parametrize("by", ["setting", "board"])
def test_whatever_is_measured_beside_a_simulated_board_says_so(bench, by):
    bench.worker.set_actions({"a": "fail", "b": "kill"})
    sensor = available("jtop", detail={"simulated": "true"})
    options = {"simulated": True} if by == "setting" else {"probes": Probes(lambda: [available()], lambda: [sensor])}
    with bench.agent(**options) as service, started(service.jobs) as jobs:
        job = until_final(jobs, jobs.submit(bench.request()).id)
        assert service.device().simulated

    assert [(kept.state, kept.simulated) for kept in job.cells] == [
        ("failed", True),
        ("failed", True),
        ("done", True),
    ]


def test_a_real_machine_does_not_say_so(bench):
    with bench.agent() as service:
        assert not service.device().simulated
    assert not any(kept.simulated for kept in bench.run().cells)


# Waiting


def test_clients_that_wait_are_let_go_when_the_agent_stops(bench):
    bench.worker.set_actions({"dense": "hang"})
    with bench.agent() as service:
        service.jobs.start()
        job_id = service.jobs.submit(bench.request()).id
        bench.worker.wait_until_reached()
        with service.jobs.until_final(job_id) as early:
            service.jobs.stop()
            early.result(timeout=0)
        with service.jobs.until_final(job_id) as late:
            late.result(timeout=0)
        assert service.jobs.count_waiters(job_id) == 0


def test_a_client_that_gave_up_waiting_harms_nobody(bench):
    with bench.agent() as service:
        job_id = service.jobs.submit(bench.request()).id
        with service.jobs.until_final(job_id) as gone, service.jobs.until_final(job_id) as told:
            gone.cancel()
            service.jobs.cancel(job_id)
            told.result(timeout=0)


# The disk


class FailingStore:
    """A store that passes everything on, but for what a test tells it to refuse."""

    def __init__(self, store):
        self._store = store
        self.refused = threading.Event()
        self.full = {}

    def __getattr__(self, name):
        if self.full.get(name, 0) != 0:
            self.full[name] -= 1
            self.refused.set()
            raise StorageFull("no space left")
        return getattr(self._store, name)


@pytest.fixture
def failing(bench):
    """Return a queue on a store that can be told to fail, and that store."""
    with bench.agent() as service:
        store = FailingStore(service.jobs._store)
        setup = WorkerSetup(
            command=bench.worker.command,
            settings=settings_for(bench.folder),
            cache_dir=bench.folder,
            power_sensor=lambda: "none",
            clocks=clocks_of(Board(), bench.folder / "clocks.json"),
            simulated=lambda: False,
        )
        yield JobQueue(store, service.library.path, setup, service.leases, retry_s=0.01), store


@pytest.mark.parametrize("method", ["add_cell", "finish", "begin_next", "interruptions"])
def test_a_disk_that_is_full_for_a_while_loses_nothing(bench, failing, method):
    queue, store = failing
    store.full = {method: 3}

    with started(queue) as jobs:
        job = until_final(jobs, jobs.submit(bench.request()).id)

    assert store.refused.is_set()
    assert job.state == "done"
    assert len(job.cells) == 3
    assert job.progress.stage is None


def test_a_job_that_waits_for_the_disk_says_so_and_stops_when_asked(bench, failing):
    queue, store = failing
    store.full = {"add_cell": -1}
    queue.start()
    job_id = queue.submit(bench.request()).id
    store.refused.wait()
    eventually(lambda: queue.job(job_id).progress.stage == WAITING_FOR_DISK)

    queue.stop()

    assert queue.job(job_id).cells == []
    assert queue.job(job_id).state in ("running", "queued")
