"""The queue of benchmarks: one thread runs them, one at a time, oldest first.

The store holds the truth, so a restart goes on where the last agent ended. A clean stop puts the running
job back into the queue; a job that is found as running was cut off by the death of its agent.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from gdws_contract.problems import Problem
from gdws_contract.rest import FINAL_STATES, BenchmarkRequest, Cell, CellKey, Job, JobState

from .errors import StorageFailed, problem_of
from .jobrun import JobRun, Workshop, give_back
from .messages import StageEvent
from .runner import Interrupt
from .store import Store

_LOG = logging.getLogger(__name__)

_STORAGE_RETRY_S = 5.0
WAITING_FOR_DISK = "waiting for the disk"


class _Running:
    """The job that is being measured, and where it stands."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.interrupt = Interrupt()
        self.progress: Dict[str, Any] = {}


class JobQueue:
    """Takes jobs, runs them, tells how they stand. All methods may be called from any thread."""

    def __init__(
        self,
        store: Store,
        bundle_path: Callable[[str], Path],
        workshop: Workshop,
        *,
        retry_s: float = _STORAGE_RETRY_S,
    ) -> None:
        self._retry_s = retry_s
        self._store = store
        self._bundle_path = bundle_path
        self._workshop = workshop
        # Guards everything below. Taken before the store's own lock, never while that is held.
        self._condition = threading.Condition()
        self._running: Optional[_Running] = None
        self._stopping = False
        self._watchers: Dict[str, List[Future[None]]] = {}
        self._released = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to run jobs; to be called once."""
        self._thread.start()

    def stop(self) -> None:
        """End the running worker, put its job back into the queue and return when nothing runs any more.

        May be repeated, and does no harm to a queue that was never started.
        """
        with self._condition:
            self._stopping = True
            if self._running is not None:
                self._running.interrupt.request("stop")
            self._condition.notify_all()
        self.release_watchers()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, request: BenchmarkRequest) -> Job:
        """Append a job with a resolved request and return it.

        Raises:
            ModelNotFound: its bundle is not there (any more).
        """
        job = self._store.add_job(request)
        _LOG.info("job %s: queued, %d cells of bundle %s", job.id, job.progress.cells_total, request.model_id)
        with self._condition:
            self._condition.notify_all()
        return job

    def job(self, job_id: str) -> Job:
        """Return a job with its cells and, while it runs, its progress; raises JobNotFound."""
        return self._with_progress(self._store.job(job_id))

    def jobs(self, limit: int) -> List[Job]:
        """Return at most ``limit`` jobs without their cells, newest first."""
        return [self._with_progress(job) for job in self._store.jobs(limit)]

    def count_queued(self) -> int:
        """Return the number of jobs that wait."""
        return self._store.count_queued()

    def running_id(self) -> Optional[str]:
        """Return the id of the job that is being measured."""
        with self._condition:
            return None if self._running is None else self._running.job_id

    def cancel(self, job_id: str) -> Job:
        """Cancel a job and return it; one that has ended stays as it is.

        A running job is final only once its worker has ended: see :meth:`watch`.

        Raises:
            JobNotFound: there is none of that id.
        """
        with self._condition:
            if self._running is not None and self._running.job_id == job_id:
                self._running.interrupt.request("cancel")
            elif self._store.cancel_queued(job_id):
                _LOG.info("job %s: cancelled in the queue", job_id)
                self._tell_watchers(job_id)
        return self.job(job_id)

    @contextlib.contextmanager
    def watch(self, job_id: str) -> Iterator[Future[None]]:
        """A future that is done as soon as the job is final or the agent stops.

        It says nothing about a job that was final before: look at the job within the context.
        """
        future: Future[None] = Future()
        with self._condition:
            if self._released:
                future.set_result(None)
            self._watchers.setdefault(job_id, []).append(future)
        try:
            yield future
        finally:
            with self._condition:
                self._watchers[job_id].remove(future)
                if not self._watchers[job_id]:
                    del self._watchers[job_id]

    def release_watchers(self) -> None:
        """Tell all that watch, now and later, not to wait any longer."""
        with self._condition:
            self._released = True
            for job_id in self._watchers:
                self._tell_watchers(job_id)

    def _tell_watchers(self, job_id: str) -> None:
        for future in self._watchers.get(job_id, []):
            with contextlib.suppress(InvalidStateError):  # told before, or nobody waits any more
                future.set_result(None)

    def _with_progress(self, job: Job) -> Job:
        with self._condition:
            if job.state != "running" or self._running is None or self._running.job_id != job.id:
                return job
            return job.model_copy(update={"progress": job.progress.model_copy(update=self._running.progress)})

    # What follows runs in the thread of the queue.

    def _work(self) -> None:
        try:
            give_back(self._workshop)  # what an agent that died had taken
        except Exception:
            _LOG.exception("power mode and clocks were not looked after")
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Run the next job; False when the agent stops. The queue outlives whatever one job brings."""
        try:
            job = self._wait_for_next()
            if job is None:
                return False
            self._run(job)
        except Exception:
            _LOG.exception("the queue met an error and goes on in %g s", self._retry_s)
            with self._condition:
                return not self._condition.wait_for(lambda: self._stopping, self._retry_s)
        return True

    def _wait_for_next(self) -> Optional[Job]:
        """Return the next job, marked as running, or None when the agent stops."""
        with self._condition:
            while not self._stopping:
                job = self._store.begin_next()
                if job is not None:
                    self._running = _Running(job.id)
                    return job
                self._condition.wait()
        return None

    def _run(self, job: Job) -> None:
        running = self._running
        assert running is not None
        _LOG.info("job %s: %s", job.id, "resumed" if job.cells else "started")
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
        if state is not None:
            with self._condition:
                self._tell_watchers(job.id)

    def _outcome(self, job: Job, running: _Running) -> Tuple[Optional[JobState], Optional[Problem]]:
        """Run ``job`` and return the state to give it, or None when the agent stops before its end."""

        def save(cell: Cell) -> None:
            self._insist(lambda: self._store.add_cell(job.id, cell))

        def report(event: StageEvent, cell: Optional[CellKey]) -> None:
            with self._condition:
                running.progress = {
                    "stage": event.stage,
                    "cell": cell,
                    "round": event.round,
                    "rounds": event.rounds,
                }

        try:
            path = self._bundle_path(job.request.model_id)
            run = JobRun(job, path, self._workshop, running.interrupt, save, report)
            error = run.run(self._store.interruptions(job.id))
        except StorageFailed:
            raise
        except Exception as mishap:
            _LOG.exception("job %s: an error of the agent's own", job.id)
            return "failed", problem_of(mishap)
        if error is not None:
            return "failed", error
        if running.interrupt.reason is not None and not self._is_complete(job.id):
            return ("cancelled" if running.interrupt.reason == "cancel" else None), None
        return "done", None

    def _is_complete(self, job_id: str) -> bool:
        progress = self._store.job(job_id).progress
        return progress.cells_finished == progress.cells_total

    def _insist(self, action: Callable[[], None]) -> None:
        """Do what must be stored. While the disk does not serve, wait for it rather than lose a result.

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
    """Return whether ``job`` has ended for good."""
    return job.state in FINAL_STATES
