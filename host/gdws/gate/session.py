"""One gate on one device: the runs, under a lease, and what came of them."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gdws.device.benchmark import benchmark, failure
from gdws.device.client import DeviceClient
from gdws.device.leases import default_holder, renewing, take_lease
from gdws.device.versions import SHARING
from gdws.errors import DeviceError, ExitCode, GdwsError
from gdws.gate.figures import Run, read_run
from gdws.gate.pairing import Pairing, write_run
from gdws_contract.findings import text
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Job

#: A lease ends by itself so long after this machine has died.
_LEASE_S = 60.0

Say = Callable[[str], None]


class Stopped(GdwsError):
    """Somebody asked for the end."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True)
class DeviceAccess:
    """How to wait for a device: in line, for an agent that is away; ``lease_id`` is of a lease held already."""

    wait_s: float = 3_600.0
    reconnect_s: float = 20.0
    lease_id: str | None = None


@dataclass
class Session:
    """Runs on one agent. ``request`` is what each run asks for; its ``model_id`` is that of the run's bundle.

    Each result is kept in ``folder`` as ``run-N.json``. The time in line is for whoever holds the device, and again
    for the jobs ahead. ``say`` is told in a line what goes on; ``warnings`` are of results that could not be kept.
    """

    url: str
    token: str | None
    pairing: Pairing
    request: Mapping[str, object]
    folder: Path
    say: Say
    access: DeviceAccess = DeviceAccess()
    note: str | None = None
    warnings: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _job_id: str | None = None
    _late: bool = False

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[int], tuple[BenchmarkResult, Run]]]:
        """Hold the device, and give what measures the ``n``-th run, from 1.

        Raises:
            DeviceError: the agent could not serve, or the time in line was over.
            Stopped: :meth:`stop` was called.
        """
        with DeviceClient(self.url, token=self.token) as device, self._lease(device) as lease_id:
            yield lambda number: self._measure(device, lease_id, number)

    def stop(self) -> None:
        """End what runs on the device, from another thread; what was measured is kept."""
        self._stop.set()
        self._cancel()

    def _give_up(self) -> None:
        self._late = True
        self._cancel()

    def _cancel(self) -> None:
        if self._job_id is not None:
            with contextlib.suppress(DeviceError), DeviceClient(self.url, token=self.token) as device:
                device.cancel(self._job_id)

    @contextlib.contextmanager
    def _lease(self, device: DeviceClient) -> Iterator[str | None]:
        if self.access.lease_id is not None:
            with renewing(device, self.access.lease_id):
                yield self.access.lease_id
            return
        if device.check().api_revision < SHARING:
            yield None  # the agent knows no leases: what others send takes turns with the runs
            return
        lease = take_lease(
            device,
            default_holder(),
            _LEASE_S,
            self.note,
            wait_s=self.access.wait_s,
            on_wait=lambda error: self.say(f"waiting for the device: {error.message}"),
            sleep=self._sleep,
        )
        try:
            with renewing(device, lease.id):
                yield lease.id
        finally:
            with contextlib.suppress(DeviceError):
                device.release_lease(lease.id)

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped("stopped while waiting for the device")

    def _measure(self, device: DeviceClient, lease_id: str | None, number: int) -> tuple[BenchmarkResult, Run]:
        if self._stop.is_set():
            raise Stopped("stopped between two runs")
        with tempfile.TemporaryDirectory(prefix="gdws-gate-", ignore_cleanup_errors=True) as scratch:
            bundle = Path(scratch, "run.gdws")
            model_id = write_run(self.pairing, bundle, baseline_first=number % 2 == 1)
            request = BenchmarkRequest.model_validate({**self.request, "model_id": model_id})
            request = request.model_copy(update={"protocol": request.protocol.model_copy(update={"seed": number})})
            place = _Place(self.say, self.access.wait_s, self._give_up)

            def follow(job: Job) -> None:
                self._job_id = job.id
                if self._stop.is_set():
                    raise KeyboardInterrupt
                place.show(job)

            try:
                result = benchmark(
                    device,
                    bundle,
                    request,
                    out=self.folder / f"run-{number}.json",
                    on_progress=follow,
                    on_unwritable=lambda error: self.warnings.append(f"run {number} is not kept as a file: {error}"),
                    reconnect_s=self.access.reconnect_s,
                    lease_id=lease_id,
                )
            except KeyboardInterrupt:
                raise Stopped(f"stopped during run {number}") from None
            finally:
                place.leave()
                self._job_id = None
        if self._late:
            raise DeviceError(f"still in line after {self.access.wait_s:g} s", url=self.url, hint="wait longer: --wait")
        if self._stop.is_set():
            raise Stopped(f"stopped during run {number}")
        with contextlib.suppress(DeviceError):
            device.delete_model(model_id)  # each run has a bundle of its own, which nobody will ask for again
        error = failure(result, self.url)
        if error is not None:
            raise error
        return result, read_run(result, self.pairing)


class _Place:
    """A job in line: tells its place whenever that changes. ``give_up`` is called if it is there for ``wait_s``."""

    def __init__(self, say: Say, wait_s: float, give_up: Callable[[], None]) -> None:
        self._say = say
        self._place: int | None = None
        self._timer = threading.Timer(wait_s, give_up)
        self._timer.daemon = True
        self._timer.start()

    def show(self, job: Job) -> None:
        """How the job stands."""
        if job.state != "queued":
            self._timer.cancel()
        elif job.queue_position != self._place:
            self._place = job.queue_position
            if self._place:  # 0 is next
                self._say(f"in line: {text.plural(self._place, 'job')} ahead")

    def leave(self) -> None:
        """The job has ended."""
        self._timer.cancel()
