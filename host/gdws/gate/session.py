"""The runs of a gate on one device, under a lease."""

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

#: Time to live of the lease, after which it expires if this machine dies.
_LEASE_S = 60.0

Say = Callable[[str], None]


class Stopped(GdwsError):
    """The session was stopped on request."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True)
class DeviceAccess:
    """How long to wait in the queue and to reconnect; ``lease_id`` is a lease that is already held."""

    wait_s: float = 3_600.0
    reconnect_s: float = 20.0
    lease_id: str | None = None


@dataclass
class Session:
    """Runs on one agent. ``request`` is the request of each run; its ``model_id`` is set to the run's bundle.

    Each result is stored in ``folder`` as ``run-N.json``. The waiting time applies to the current lease, and again to
    the jobs ahead. ``say`` is called with lines about the progress; ``warnings`` are about results that could not be
    stored.
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
        """Hold a lease of the device; gives a function that measures the ``n``-th run, from 1.

        Raises:
            DeviceError: the agent could not serve, or the waiting time was over.
            Stopped: :meth:`stop` was called.
        """
        with DeviceClient(self.url, token=self.token) as device, self._lease(device) as lease_id:
            yield lambda number: self._measure(device, lease_id, number)

    def stop(self) -> None:
        """Stop from another thread: cancels the job on the device and keeps what was measured."""
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
            yield None  # an agent without leases: other clients' jobs run in between
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
                    on_unwritable=lambda error: self.warnings.append(f"run {number} could not be stored: {error}"),
                    reconnect_s=self.access.reconnect_s,
                    lease_id=lease_id,
                )
            except KeyboardInterrupt:
                raise Stopped(f"stopped during run {number}") from None
            finally:
                place.leave()
                self._job_id = None
        if self._late:
            raise DeviceError(
                f"still in the queue after {self.access.wait_s:g} s", url=self.url, hint="wait longer: --wait"
            )
        if self._stop.is_set():
            raise Stopped(f"stopped during run {number}")
        with contextlib.suppress(DeviceError):
            device.delete_model(model_id)  # each run has its own bundle, which is not needed again
        error = failure(result, self.url)
        if error is not None:
            raise error
        return result, read_run(result, self.pairing)


class _Place:
    """A queued job: reports changes of its position. ``give_up`` is called after ``wait_s`` in the queue."""

    def __init__(self, say: Say, wait_s: float, give_up: Callable[[], None]) -> None:
        self._say = say
        self._place: int | None = None
        self._timer = threading.Timer(wait_s, give_up)
        self._timer.daemon = True
        self._timer.start()

    def show(self, job: Job) -> None:
        """Report the state of the job."""
        if job.state != "queued":
            self._timer.cancel()
        elif job.queue_position != self._place:
            self._place = job.queue_position
            if self._place:  # 0 is next
                self._say(f"in the queue: {text.plural(self._place, 'job')} ahead")

    def leave(self) -> None:
        """The job left the queue."""
        self._timer.cancel()
