"""The parts of one agent, put together."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import Callable, Iterator, NamedTuple, Optional, Sequence, TypeVar

from gdws_contract import __version__
from gdws_contract.manifest import Manifest
from gdws_contract.rest import API_VERSION, BenchmarkRequest, DeviceInfo, Health

from . import jtop_clocks
from .clocks import Clocks
from .device_info import describe_device
from .errors import DataUnusable, StorageFailed
from .folder import DataFolder
from .jobrun import Workshop
from .jobs import JobQueue
from .library import Library
from .probes import Probes, system_probes
from .resolve import resolve
from .runner import WORKER_COMMAND
from .settings import Settings
from .store import Store

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Service(NamedTuple):
    """What the routes call."""

    settings: Settings
    folder: DataFolder
    library: Library
    jobs: JobQueue
    probes: Probes
    clocks: Clocks

    def health(self) -> Health:
        """Return that the agent serves, and how busy it is."""
        return Health(
            agent_version=__version__,
            api_version=API_VERSION,
            queued_jobs=self.jobs.count_queued(),
            running_job=self.jobs.running_id(),
        )

    def device(self) -> DeviceInfo:
        """Return the facts about this machine."""
        simulated = self.settings.simulated or self.probes.simulated()
        return describe_device(self.probes.backends(), self.probes.power_sensors(), simulated=simulated)

    def resolve(self, request: BenchmarkRequest, manifest: Manifest) -> BenchmarkRequest:
        """Return ``request`` with nothing left open; see :func:`gdws_agent.resolve.resolve`."""
        return resolve(request, manifest, self.probes.backends(), self.clocks.check)


@contextlib.contextmanager
def open_service(
    settings: Settings,
    *,
    worker_command: Sequence[str] = WORKER_COMMAND,
    probes: Optional[Probes] = None,
    clocks: Optional[Clocks] = None,
) -> Iterator[Service]:
    """Open the data folder and put an agent together; on leaving, its queue is stopped.

    The queue stands still until ``jobs.start()``. ``probes`` and ``clocks`` stand in for those of the machine.

    Raises:
        DataUnusable: the folder or its database cannot be used.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        store = stack.enter_context(contextlib.closing(_at_start(lambda: Store(folder.database))))
        for job_id in _at_start(store.count_interruptions):
            _LOG.warning("job %s: cut off when the agent died; it will go on", job_id)
        known = probes if probes is not None else system_probes(settings.jtop_socket)
        board = clocks if clocks is not None else _clocks_of_jtop(settings, folder)
        library = Library(store, folder.models)
        workshop = Workshop(
            command=worker_command,
            settings=settings,
            cache_dir=folder.cache,
            power_sensor=known.best_power_sensor,
            clocks=board,
            simulated=lambda: settings.simulated or known.simulated(),
        )
        jobs = JobQueue(store, library.path, workshop)
        stack.callback(jobs.stop)
        yield Service(settings, folder, library, jobs, known, board)


def _clocks_of_jtop(settings: Settings, folder: DataFolder) -> Clocks:
    return Clocks(
        partial(jtop_clocks.connect, settings.jtop_socket),
        folder.clocks,
        check=partial(jtop_clocks.check, settings.jtop_socket),
    )


def _at_start(action: Callable[[], T]) -> T:
    """Return what ``action`` returns; a disk that does not serve keeps the agent from starting."""
    try:
        return action()
    except StorageFailed as error:
        raise DataUnusable(error.message, hint=error.hint) from error
