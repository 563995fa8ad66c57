"""The parts of one agent, put together."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from pydantic import TypeAdapter

from gdws_agent.board import jtop_clocks
from gdws_agent.board.clocks import Clocks
from gdws_agent.device_info import describe_device
from gdws_agent.errors import BUNDLE_CODES, DataUnusable, ModelNotFound, StorageFailed
from gdws_agent.jobs.events import JobEvent
from gdws_agent.jobs.lease import LeaseDesk, for_everybody
from gdws_agent.jobs.queue import JobQueue, is_final
from gdws_agent.jobs.run import WorkerSetup
from gdws_agent.jobs.runner import WORKER_COMMAND
from gdws_agent.measuring.environment import usable_cores
from gdws_agent.probes import Probes, system_probes
from gdws_agent.requests.limits import check_limits
from gdws_agent.requests.resolve import resolve
from gdws_agent.settings import Settings
from gdws_agent.storage.folder import DataFolder
from gdws_agent.storage.library import Library
from gdws_agent.storage.recovery import Notices, open_store
from gdws_agent.storage.retention import Retention
from gdws_agent.storage.rows import JobText
from gdws_agent.storage.store import Store
from gdws_contract import __version__
from gdws_contract.findings.comparison import Comparison, Run, compare
from gdws_contract.findings.result import Findings, findings_of
from gdws_contract.findings.verdict import Verdict
from gdws_contract.manifest import Manifest
from gdws_contract.rest import API_REVISION, API_VERSION, BenchmarkRequest, Cell, DeviceInfo, Health, Job, Queue

_LOG = logging.getLogger(__name__)

_VERDICTS = TypeAdapter(Tuple[Verdict, ...])

T = TypeVar("T")


class Service(NamedTuple):
    """The operations behind the routes."""

    settings: Settings
    folder: DataFolder
    library: Library
    jobs: JobQueue
    probes: Probes
    clocks: Clocks
    leases: LeaseDesk
    notices: Notices

    def health(self) -> Health:
        """Return that the agent is up, and how busy it is; from memory, without waiting."""
        return Health(
            agent_version=__version__,
            api_version=API_VERSION,
            api_revision=API_REVISION,
            queued_jobs=self.jobs.count_queued(),
            running_job=self.jobs.running_id(),
            notices=self.notices.known(),
        )

    def queue(self, limit: int) -> Tuple[Queue, Optional[JobText]]:
        """Return at most ``limit`` queued jobs, and the running one."""
        running_id = self.jobs.running_id()
        queued, total = self.jobs.next_jobs(limit)
        found = Queue(
            running=None,
            queued=queued,
            queued_total=total,
            queued_limit=self.settings.max_queued_jobs,
            lease=for_everybody(self.leases.current()),
        )
        return found, None if running_id is None else self.jobs.text(running_id)

    def device(self) -> DeviceInfo:
        """Return the facts about this machine."""
        simulated = self.settings.simulated or self.probes.simulated()
        found = describe_device(self.probes.backends(), self.probes.power_sensors(), simulated=simulated)
        return found.model_copy(update={"api_revision": API_REVISION, "notices": self.notices.look()})

    def compare(self, a: str, b: str) -> Comparison:
        """Return the comparison of job ``b`` with job ``a``, both with the current device; raises JobNotFound."""
        device = self.device()
        runs = []
        for job_id in (a, b):
            job = self.jobs.job(job_id)
            manifest = self._manifest_of(job.request.model_id)
            runs.append(Run(job_id, job, device, manifest, partial=not is_final(job)))
        return compare(*runs)

    def findings(self, job_id: str) -> Findings:
        """Return the findings of a job so far; raises JobNotFound."""
        return self._findings_of(self.jobs.job(job_id))

    def result_pieces(self, found: JobText) -> List[bytes]:
        """Return the JSON of a job with its verdicts, in pieces. Unlike the job alone, this reads its cells."""
        # Rounds are most of a cell, and no verdict looks at them.
        cells = self.jobs.text(found.job.id, rounds=False).cells
        job = found.job.model_copy(update={"cells": [Cell.model_validate_json(cell) for cell in cells]})
        return found.pieces(_VERDICTS.dump_json(self._findings_of(job).verdicts))

    def _findings_of(self, job: Job) -> Findings:
        simulated = self.settings.simulated or self.probes.simulated()
        return findings_of(job, self._manifest_of(job.request.model_id), is_simulated=simulated)

    def _manifest_of(self, model_id: str) -> Optional[Manifest]:
        """Return the manifest of a bundle; None if it was removed."""
        try:
            return self.library.manifest_on_record(model_id)
        except ModelNotFound:
            return None

    def resolve(self, request: BenchmarkRequest, manifest: Manifest) -> BenchmarkRequest:
        """Return ``request``, fully resolved and within the limits.

        Raises as :func:`gdws_agent.requests.resolve.resolve` and :func:`gdws_agent.requests.limits.check_limits` do.
        """
        found = resolve(request, manifest, self.probes.backends(), self.clocks.check, cores=usable_cores())
        check_limits(found, self.settings)
        return found


@contextlib.contextmanager
def open_service(
    settings: Settings,
    *,
    worker_command: Sequence[str] = WORKER_COMMAND,
    probes: Optional[Probes] = None,
    clocks: Optional[Clocks] = None,
) -> Iterator[Service]:
    """Open the data folder and assemble an agent; its queue is stopped on exit.

    The queue stands still until ``jobs.start()``. ``probes`` and ``clocks`` stand in for those of the machine.

    Raises:
        DataUnusable: the folder or its database cannot be used.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        was_used = any(folder.models.glob("*.gdws")) or any(folder.cache.iterdir())
        opened = _at_start(lambda: open_store(folder.database, was_used=was_used))
        store = stack.enter_context(contextlib.closing(opened))
        for job_id in _at_start(store.count_interruptions):
            _LOG.warning("job %s: interrupted when the agent died; it will be resumed", job_id)
        known = probes if probes is not None else system_probes(settings.jtop_socket)
        board = clocks if clocks is not None else _clocks_of_jtop(settings, folder)
        library = _at_start(lambda: Library(store, folder.models))
        leases = _at_start(lambda: LeaseDesk(store.database, settings.max_lease_s))
        setup = WorkerSetup(
            command=worker_command,
            settings=settings,
            cache_dir=folder.cache,
            power_sensor=known.best_power_sensor,
            clocks=board,
            simulated=lambda: settings.simulated or known.simulated(),
        )
        retention = Retention(store, library, folder.cache, settings)
        jobs = JobQueue(store, library.path, setup, leases, tidy=retention.tidy)
        jobs.events.subscribe(partial(_distrust_if_unusable, store, library))
        stack.callback(jobs.stop)
        yield Service(settings, folder, library, jobs, known, board, leases, Notices(folder.database))


def _distrust_if_unusable(store: Store, library: Library, event: JobEvent) -> None:
    """Check a bundle again if a cell could not be measured from it; a subscriber of job events."""
    if event.cell is not None and event.cell.error is not None and event.cell.error.code in BUNDLE_CODES:
        for job in store.jobs_of([event.job_id]):
            library.distrust(job.request.model_id)


def _clocks_of_jtop(settings: Settings, folder: DataFolder) -> Clocks:
    return Clocks(
        partial(jtop_clocks.connect, settings.jtop_socket),
        folder.clocks,
        check=partial(jtop_clocks.check, settings.jtop_socket),
    )


def _at_start(action: Callable[[], T]) -> T:
    """Return the result of ``action``; an error of the disk keeps the agent from starting."""
    try:
        return action()
    except StorageFailed as error:
        raise DataUnusable(error.message, hint=error.hint) from error
