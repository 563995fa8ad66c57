"""The queued jobs in order, with estimated start times. Pure functions."""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Optional

from gdws_contract.queueing import Estimate


class Waiting(NamedTuple):
    """A job in the queue; ``lease_id`` is that under which it was sent."""

    id: str
    planned_s: float
    lease_id: Optional[str] = None


class Turn(NamedTuple):
    """When a job in the queue comes to its turn; ``position`` 0 is next. A job that waits for a lease has no times."""

    position: int
    waits_for_lease: bool
    starts_in_s: Optional[float]
    ends_in_s: Optional[float]

    @property
    def estimate(self) -> Estimate:
        """The times in the form of the contract."""
        if self.starts_in_s is None or self.ends_in_s is None:
            return Estimate()
        return Estimate(starts_in_s=round(self.starts_in_s, 1), ends_in_s=round(self.ends_in_s, 1))


class Turns:
    """The line of the jobs that wait: made when it changes, asked for single jobs as often as one likes."""

    def __init__(self, waiting: Iterable[Waiting], lease_id: Optional[str]) -> None:
        """``waiting`` are given in the order in which they would be measured.

        While a lease is in force the jobs that were sent under it go first, and when the others come to their turn is
        not known.
        """
        ordered = list(waiting)
        if lease_id is not None:
            ordered.sort(key=lambda each: each.lease_id != lease_id)
        self.ids: List[str] = [each.id for each in ordered]
        self._lease_id = lease_id
        self._places: Dict[str, _Place] = {}
        before_s = 0.0
        for position, each in enumerate(ordered):
            self._places[each.id] = _Place(position, before_s, each)
            before_s += each.planned_s

    def turn(self, job_id: str, running_s: float, pace: float) -> Optional[Turn]:
        """Return the turn of a job; None if it does not wait.

        ``running_s`` is what the running job still takes, ``pace`` the time that jobs need over the time planned.
        """
        place = self._places.get(job_id)
        if place is None:
            return None
        position, before_s, job = place
        if self._lease_id is not None and job.lease_id != self._lease_id:
            return Turn(position, True, None, None)
        begins_s = running_s + before_s * pace
        return Turn(position, False, begins_s, begins_s + job.planned_s * pace)


class _Place(NamedTuple):
    """``before_s`` is what is planned for all jobs before it."""

    position: int
    before_s: float
    job: Waiting
