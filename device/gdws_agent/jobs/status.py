"""The state of jobs: progress of the running one, queue positions, and estimates of when each ends."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from gdws_agent.requests.estimate import planned_s, remaining_s
from gdws_agent.requests.turns import Turn, Turns, Waiting
from gdws_agent.storage.store import Store
from gdws_contract.attacks import AttackProgress
from gdws_contract.queueing import Estimate
from gdws_contract.rest import Job

from .interrupt import Interrupt
from .lease import LeaseDesk

_PACE_HOLDS_S = 60.0


class RunningJob:
    """The job that is being measured, for at most ``limit_s`` in all its runs, and where it stands.

    Times are monotonic.
    """

    def __init__(self, job: Job, limit_s: float) -> None:
        self.job_id = job.id
        self.interrupt = Interrupt(limit_s - job.run_s)
        #: Fields of ``Progress``; replaced as a whole, so it may be read without a lock.
        self.progress: Dict[str, Any] = {}
        self._began_s = time.monotonic()
        self._earlier_s = job.run_s

    def run_s(self) -> float:
        """Return for how long the job was measured, over all its runs."""
        return self._earlier_s + time.monotonic() - self._began_s


class QueueStatus:
    """Adds to what the store knows of jobs what only the queue knows. May be asked from any thread."""

    def __init__(self, store: Store, leases: LeaseDesk, running: Callable[[], Optional[RunningJob]]) -> None:
        self._store = store
        self._leases = leases
        self._running = running
        self._known: Optional[_KnownTurns] = None
        self._pace: Tuple[float, float] = (1.0, float("-inf"))  # and since when, since it changes slowly

    def of(self, jobs: List[Job]) -> List[Job]:
        """Return ``jobs`` with progress, places in the queue and estimates."""
        if any(job.state == "queued" for job in jobs):
            jobs = self._in_turn(jobs, self._turns())
        return [self._with_progress(job) for job in jobs]

    def next_jobs(self, limit: int) -> Tuple[List[Job], int]:
        """Return at most ``limit`` jobs that wait, the next first and without cells, and how many wait in all."""
        turns = self._turns()
        return self._in_turn(self._store.jobs_of(turns.ids[:limit]), turns), len(turns.ids)

    def free_in_s(self) -> float:
        """Return how long the running job will still take; 0 when there is none."""
        running = self._running()
        if running is None:
            return 0.0
        found = self._store.jobs_of([running.job_id])
        return self._left_s(found[0], running) if found else 0.0

    def _with_progress(self, job: Job) -> Job:
        running = self._running()
        if job.state != "running" or running is None or running.job_id != job.id:
            return job
        progress = job.progress.model_copy(update=running.progress)
        estimate = Estimate(ends_in_s=round(self._left_s(job, running), 1))
        return job.model_copy(update={"progress": progress, "estimate": estimate})

    def _in_turn(self, jobs: List[Job], turns: Turns) -> List[Job]:
        running_s, pace = self.free_in_s(), self._typical_pace()
        return [_with_turn(job, turns.turn(job.id, running_s, pace)) for job in jobs]

    def _turns(self) -> Turns:
        lease = self._leases.current()
        lease_id = None if lease is None else lease.id
        waiting = self._store.waiting()
        known = self._known
        if known is None or known.waiting is not waiting or known.lease_id != lease_id:
            known = self._known = _KnownTurns(waiting, lease_id, Turns(waiting, lease_id))
        return known.turns

    def _left_s(self, job: Job, running: RunningJob) -> float:
        planned, run_s, total = planned_s(job.request), running.run_s(), max(1, job.progress.cells_total)
        attack: Optional[AttackProgress] = running.progress.get("attack")
        if attack is not None and attack.images:  # images tell more than cells, of which there are few
            share = (job.progress.cells_finished + attack.images / attack.images_total) / total
            return remaining_s(planned, min(share, 1.0), run_s, 0.0, 1.0)
        since_s = max(0.0, run_s - job.run_s)
        return remaining_s(planned, job.progress.cells_finished / total, job.run_s, since_s, self._typical_pace())

    def _typical_pace(self) -> float:
        pace, known_s = self._pace
        now_s = time.monotonic()
        if now_s - known_s > _PACE_HOLDS_S:
            pace = self._store.pace()
            self._pace = (pace, now_s)
        return pace


class _KnownTurns(NamedTuple):
    """Turns, and what they were computed from."""

    waiting: Sequence[Waiting]
    lease_id: Optional[str]
    turns: Turns


def _with_turn(job: Job, turn: Optional[Turn]) -> Job:
    if job.state != "queued" or turn is None:
        return job
    update = {"queue_position": turn.position, "estimate": turn.estimate, "waits_for_lease": turn.waits_for_lease}
    return job.model_copy(update=update)
