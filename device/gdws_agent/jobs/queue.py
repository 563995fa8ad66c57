"""The queue of benchmarks: one thread runs them one at a time, by priority and then by age.

The store holds the truth, so a restart goes on where the last agent ended. A clean stop puts the running
job back into the queue; a job that is found as running was cut off by the death of its agent.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Callable, ContextManager, List, Optional, Tuple

from gdws_agent.errors import QueueFull, StorageFailed, problem_of
from gdws_agent.measuring.messages import StageEvent
from gdws_agent.requests.limits import time_limit_s
from gdws_agent.storage.checks import NO_TICKET, Ticket
from gdws_agent.storage.rows import JobText
from gdws_agent.storage.store import Page, Store
from gdws_contract.attacks import AttackedImage
from gdws_contract.problems import Problem
from gdws_contract.rest import FINAL_STATES, BenchmarkRequest, Cell, CellKey, Job, JobState

from .events import JobEvent, JobEvents
from .lease import LeaseDesk
from .run import AttackRecord, JobRun, WorkerSetup, give_back
from .status import QueueStatus, RunningJob
from .waiters import Waiters

_LOG = logging.getLogger(__name__)

_STORAGE_RETRY_S = 5.0
#: Interval of the retention.
_TIDY_EVERY_S = 600.0
#: Bounds of ``Retry-After`` for a full queue, in seconds.
_SOONEST_S, _LATEST_S = 5.0, 3_600.0
WAITING_FOR_DISK = "waiting for the disk"


class JobQueue:
    """Accepts jobs, runs them, and reports their state. All methods are thread-safe."""

    def __init__(
        self,
        store: Store,
        bundle_path: Callable[[str], Path],
        setup: WorkerSetup,
        leases: LeaseDesk,
        *,
        tidy: Callable[[], None] = lambda: None,
        retry_s: float = _STORAGE_RETRY_S,
    ) -> None:
        """``tidy`` is called now and then while nothing is measured."""
        #: Events of jobs, for subscribers.
        self.events = JobEvents()
        self._retry_s = retry_s
        self._store = store
        self._bundle_path = bundle_path
        self._setup = setup
        self._leases = leases
        self._tidy = tidy
        self._tidy_due_s = time.monotonic()
        # Guards everything below. Taken before the locks of store and leases, never while these are held.
        self._condition = threading.Condition()
        self._running: Optional[RunningJob] = None
        self._stopping = False
        self._waiters = Waiters()
        self._count_lock = threading.Lock()
        self._queued = store.count_queued()
        self._status = QueueStatus(store, leases, lambda: self._running)
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        leases.listen(self._wake)

    def start(self) -> None:
        """Start running jobs; to be called once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the running worker, put its job back into the queue and wait until nothing is running.

        May be repeated, and does no harm to a queue that was never started.
        """
        with self._condition:
            self._stopping = True
            if self._running is not None:
                self._running.interrupt.request("stop")
            self._condition.notify_all()
        self.release_waiters()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, request: BenchmarkRequest, ticket: Ticket = NO_TICKET) -> Job:
        """Append a job with a resolved request and return it, or that which came before with the same key.

        Raises:
            ModelNotFound: its bundle is not there (any more).
            LeaseNotHeld: the ticket names a lease that is not in force.
            IdempotencyKeyReused, QueueFull
        """
        known = self.job_of_key(ticket)
        if known is not None:
            return known
        if ticket.lease_id is not None:
            ticket = ticket._replace(lease_holder=self._leases.check(ticket.lease_id).holder)
        try:
            job = self._store.add_job(request, ticket, limit=self._setup.settings.max_queued_jobs)
        except QueueFull as error:
            error.retry_after_s = min(_LATEST_S, max(_SOONEST_S, self._status.free_in_s()))
            raise
        _LOG.info("job %s: queued, %d cells of bundle %s", job.id, job.progress.cells_total, request.model_id)
        self._tell(job.id, "queued")
        self._wake()
        return self._status.of([job])[0]

    def job_of_key(self, ticket: Ticket) -> Optional[Job]:
        """Return the job that came before with the same idempotency key; raises IdempotencyKeyReused."""
        known = self._store.job_of_key(ticket)
        return None if known is None else self._status.of([known])[0]

    def job(self, job_id: str) -> Job:
        """Return a job with its cells and, while it runs, its progress; raises JobNotFound."""
        return self._status.of([self._store.job(job_id)])[0]

    def outline(self, job_id: str) -> Job:
        """Return a job without its cells; raises JobNotFound."""
        return self._status.of([self._store.outline(job_id)])[0]

    def text(self, job_id: str, *, rounds: bool = True, after: int = 0) -> JobText:
        """Return a job and the JSON of its cells; as :meth:`gdws_agent.storage.store.Store.text`."""
        found = self._store.text(job_id, rounds=rounds, after=after)
        return found._replace(job=self._status.of([found.job])[0])

    def jobs(self, limit: int) -> List[Job]:
        """Return at most ``limit`` jobs without their cells, newest first."""
        return self.page(limit).jobs

    def page(self, limit: int, before: Optional[int] = None, state: Optional[JobState] = None) -> Page:
        """Return one page of the jobs, without their cells, newest first; ``before`` is the cursor of the last page."""
        page = self._store.jobs(limit, before, state)
        return page._replace(jobs=self._status.of(page.jobs))

    def next_jobs(self, limit: int) -> Tuple[List[Job], int]:
        """Return at most ``limit`` jobs that wait, the next first, and how many wait in all."""
        return self._status.next_jobs(limit)

    def count_queued(self) -> int:
        """Return the number of jobs that wait; without a look at the disk, so that nobody waits for it."""
        return self._queued

    def running_id(self) -> Optional[str]:
        """Return the id of the job that is being measured; waits for nothing, not even for a job that is begun."""
        running = self._running
        return None if running is None else running.job_id

    def cancel(self, job_id: str) -> Job:
        """Cancel a job and return it without its cells; one that has ended stays as it is.

        A running job is final only once its worker has ended: see :meth:`until_final`.

        Raises:
            JobNotFound: there is none of that id.
        """
        is_ended = False
        with self._condition:
            if self._running is not None and self._running.job_id == job_id:
                self._running.interrupt.request("cancel")
            else:
                is_ended = self._store.cancel_queued(job_id)
        if is_ended:
            _LOG.info("job %s: cancelled in the queue", job_id)
            self._tell(job_id, "cancelled")
        return self.outline(job_id)

    def generation(self) -> Optional[int]:
        """Return a number that is another one once anything stored has changed; None while it does.

        What only the queue knows, progress and estimates, changes without it.
        """
        return self._store.database.generation

    def until_final(self, job_id: str) -> ContextManager[Future[None]]:
        """A future that is done as soon as the job is final or the agent stops.

        It says nothing about a job that was final before: look at the job within the context.
        """
        return self._waiters.future(job_id)

    def count_waiters(self, job_id: str) -> int:
        """Return how many wait for the end of a job."""
        return self._waiters.count(job_id)

    def release_waiters(self) -> None:
        """Release all waiters, now and in future."""
        self._waiters.release()

    def _tell(self, job_id: str, state: JobState) -> None:
        """Notify waiters and subscribers of a new state of a job."""
        with self._count_lock, contextlib.suppress(StorageFailed):  # then the last count stands
            self._queued = self._store.count_queued()
        if state in FINAL_STATES:
            self._waiters.tell(job_id)
        self.events.tell(JobEvent(job_id, state=state))

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    # What follows runs in the thread of the queue.

    def _work(self) -> None:
        try:
            give_back(self._setup)  # what an agent that died had taken
        except Exception:
            _LOG.exception("power mode and clocks were not restored")
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Run the next job; False when the agent stops. An error of one job does not end the queue."""
        try:
            job = self._wait_for_next()
            if job is None:
                return False
            self._run(job)
        except Exception:
            _LOG.exception("error in the queue; it resumes in %g s", self._retry_s)
            with self._condition:
                return not self._condition.wait_for(lambda: self._stopping, self._retry_s)
        return True

    def _wait_for_next(self) -> Optional[Job]:
        """Return the next job, marked as running, or None when the agent stops."""
        while True:
            self._tidy_if_due()
            with self._condition:
                if self._stopping:
                    return None
                lease = self._leases.current()
                job = self._store.begin_next(None if lease is None else lease.id)
                if job is not None:
                    self._running = RunningJob(job, time_limit_s(job.request, self._setup.settings))
                    return job
                lease_ends_s = _TIDY_EVERY_S if lease is None else lease.expires_in_s
                self._condition.wait(max(0.1, min(lease_ends_s, self._tidy_due_s - time.monotonic())))

    def _tidy_if_due(self) -> None:
        if time.monotonic() < self._tidy_due_s:
            return
        self._tidy_due_s = time.monotonic() + _TIDY_EVERY_S
        try:
            self._tidy()
        except StorageFailed as error:
            _LOG.warning("retention failed: %s", error)
        except Exception:
            _LOG.exception("what need not be kept is not removed")

    def _run(self, job: Job) -> None:
        running = self._running
        assert running is not None
        _LOG.info("job %s: %s", job.id, "resumed" if job.cells else "started")
        self._tell(job.id, "running")
        try:
            state, error = self._outcome(job, running)
            if state is None:
                self._insist(lambda: self._store.requeue(job.id))
                _LOG.info("job %s: put back into the queue", job.id)
            else:
                self._insist(lambda: self._store.finish(job.id, state, error))
                _LOG.info("job %s: %s%s", job.id, state, f", {error.detail}" if error is not None else "")
        finally:
            with self._condition:
                self._running = None
            running.interrupt.close()
        self._tell(job.id, "queued" if state is None else state)

    def _outcome(self, job: Job, running: RunningJob) -> Tuple[Optional[JobState], Optional[Problem]]:
        """Run ``job`` and return the state to give it, or None when the agent stops before its end."""

        def save(cell: Cell) -> None:
            run_s = running.run_s()
            self._insist(lambda: self._store.add_cell(job.id, cell, run_s))
            self.events.tell(JobEvent(job.id, cell=cell))

        def save_attacked(key: CellKey, images: List[AttackedImage]) -> None:
            run_s = running.run_s()
            self._insist(lambda: self._store.add_attacked(job.id, key, images, run_s))

        def report(event: StageEvent, cell: Optional[CellKey]) -> None:
            told = {"round": event.round, "rounds": event.rounds, "attack": event.attack}
            progress = {"stage": event.stage, "cell": cell, **told}
            with self._condition:
                running.progress = progress
            self.events.tell(JobEvent(job.id, progress=progress))

        try:
            path = self._bundle_path(job.request.model_id)
            attacked = AttackRecord(self._store.attacked(job.id), save_attacked)
            run = JobRun(job, path, self._setup, running.interrupt, save, report, attacked)
            failure = run.run(self._store.interruptions(job.id))
        except StorageFailed:
            raise
        except Exception as mishap:
            _LOG.exception("job %s: an error of the agent's own", job.id)
            return "failed", problem_of(mishap)
        if failure is not None:
            return failure.state, failure.problem
        if running.interrupt.reason is not None and not self._is_complete(job.id):
            return ("cancelled" if running.interrupt.reason == "cancel" else None), None
        return "done", None

    def _is_complete(self, job_id: str) -> bool:
        progress = self._store.outline(job_id).progress
        return progress.cells_finished == progress.cells_total

    def _insist(self, action: Callable[[], None]) -> None:
        """Store something, waiting while the disk is not usable rather than losing a result.

        Raises:
            StorageFailed: the agent stops before the disk serves.
        """
        while not self._try(action):
            with self._condition:
                running = self._running
                assert running is not None
                before, running.progress = running.progress, {**running.progress, "stage": WAITING_FOR_DISK}
                is_last_try = self._condition.wait_for(lambda: self._stopping, self._retry_s)
                running.progress = before
            if is_last_try:
                action()
                return

    @staticmethod
    def _try(action: Callable[[], None]) -> bool:
        try:
            action()
        except StorageFailed as error:
            _LOG.error("waiting for the disk: %s", error)
            return False
        return True


def is_final(job: Job) -> bool:
    """Return whether ``job`` has ended."""
    return job.state in FINAL_STATES
