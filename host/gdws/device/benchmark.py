"""A benchmark on an agent, from the bundle to the stored result."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from gdws._util.files import require_writable
from gdws._util.interrupts import held_back
from gdws.device.client import DeviceClient, JobRequest
from gdws.device.live_job import watch
from gdws.device.versions import ATTACKS, PACING, SHARING, require_revision, require_schema
from gdws.errors import DeviceError, DeviceRefused, DeviceUnreachable
from gdws.results.stored import save_result
from gdws_contract.archive import open_bundle
from gdws_contract.attacks import AttackRequest
from gdws_contract.queueing import Limits
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Job

#: Problem codes of an agent that does not have a bundle, or no longer has it.
_GONE = (404, 410)


def benchmark(
    device: DeviceClient,
    bundle: Path,
    request: JobRequest,
    *,
    out: Path | None = None,
    on_upload: Callable[[int], None] | None = None,
    on_progress: Callable[[Job], None] | None = None,
    on_unwritable: Callable[[OSError], None] | None = None,
    reconnect_s: float = 20.0,
    lease_id: str | None = None,
    key: str | None = None,
) -> BenchmarkResult:
    """Measure, profile or attack ``bundle`` on ``device`` and return the result when the job has ended.

    The bundle is uploaded only if the agent does not have an intact copy. The result is stored in ``out`` after each
    cell, so that nothing measured is lost: if the agent stays away for ``reconnect_s`` seconds, or this process is
    interrupted or killed, ``out`` has what was measured, marked as partial. On an interrupt the job is cancelled on the
    device. ``on_upload`` is called with the number of bytes sent, ``on_progress`` with the job. With ``on_unwritable``,
    a failure to write ``out`` is reported to it once instead of being raised. With ``lease_id`` the job is submitted
    under that lease, which :func:`gdws.device.leases.renewing` renews. ``key`` identifies the request: submitted again
    with the same key, after this process was killed, it returns the same job.

    Raises:
        BundleError: the bundle cannot be used.
        DeviceError: the agent could not serve.
        OSError: the bundle cannot be read, or ``out`` cannot be written, in which case a running job is cancelled.
    """
    store = _Store(out, on_unwritable)
    store.require()
    health = device.check()
    for revision, what in _newer_wishes(request, lease_id):
        require_revision(health, revision, what, device.url)
    info = device.device()
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        require_schema(health, opened.schema_version, device.url)
    if device.model(request.model_id) is None:
        device.upload(bundle, on_upload)

    def keep(job: Job, *, partial: bool) -> BenchmarkResult:
        result = BenchmarkResult(job=job, device=info, manifest=manifest, saved_at=_now(), partial=partial)
        store.save(result)
        return result

    key = None if health.api_revision < SHARING else key or secrets.token_hex(16)
    try:
        latest = _submit(device, request, lease_id, key)
    except DeviceRefused as error:
        if error.status not in _GONE:
            raise
        device.upload(bundle, on_upload)  # the bundle was deleted meanwhile
        latest = _submit(device, request, lease_id, key)
    stored = 0
    try:
        for job in watch(device, latest.id, reconnect_s=reconnect_s):
            latest = job
            if on_progress is not None:
                on_progress(job)
            if len(job.cells) > stored:
                keep(job, partial=True)
                stored = len(job.cells)
    except DeviceUnreachable as error:
        keep(latest, partial=True)
        raise DeviceUnreachable(
            f"lost the agent during job {latest.id}: {error.message}",
            url=error.url,
            hint=f"the agent resumes its jobs when it is restarted: GET {device.url}/benchmark/{latest.id}",
        ) from error
    except DeviceError:
        keep(latest, partial=True)
        raise
    except KeyboardInterrupt:
        keep(_cancelled(device, latest), partial=True)
        raise
    except OSError:
        _cancelled(device, latest)
        raise
    return keep(latest, partial=False)


class _Store:
    """The file of a result, if any; ``on_unwritable`` is called once with an error, which is raised otherwise."""

    def __init__(self, path: Path | None, on_unwritable: Callable[[OSError], None] | None) -> None:
        self._path = path
        self._on_unwritable = on_unwritable

    def require(self) -> None:
        """Check that the file can be written, before hours of work."""
        self._with_path(require_writable)

    def save(self, result: BenchmarkResult) -> None:
        """Replace the stored result by ``result``."""
        self._with_path(lambda path: save_result(result, path))

    def _with_path(self, write: Callable[[Path], None]) -> None:
        if self._path is None:
            return
        try:
            write(self._path)
        except OSError as error:
            if self._on_unwritable is None:
                raise
            self._path = None
            self._on_unwritable(error)


def _submit(device: DeviceClient, request: JobRequest, lease_id: str | None, key: str | None) -> Job:
    """Submit ``request`` and return the job; after an interrupt meanwhile, no job is left on the device."""
    job: Job | None = None
    try:
        with held_back():
            job = device.submit(request, lease_id=lease_id, key=key)
    except KeyboardInterrupt:
        if job is not None:
            _cancelled(device, job)
        raise
    return job


def _newer_wishes(request: JobRequest, lease_id: str | None) -> Iterator[tuple[int, str]]:
    """Features of the request that agents of revision 0 do not support, with the revision that added each."""
    if request.priority != 0:
        yield SHARING, "priorities"
    if request.limits != Limits():
        yield SHARING, "limits of time and memory"
    if lease_id is not None:
        yield SHARING, "leases"
    if isinstance(request, AttackRequest):
        yield ATTACKS, "attacks"
    if isinstance(request, BenchmarkRequest):
        if request.pacing is not None:
            yield PACING, "inferences that arrive by a clock"
        if request.series is not None:
            yield PACING, "time series"


def _cancelled(device: DeviceClient, job: Job) -> Job:
    """``job`` after a request to cancel it; unchanged if the agent cannot be reached."""
    with contextlib.suppress(DeviceError):
        return device.cancel(job.id)
    return job


def is_complete(result: BenchmarkResult) -> bool:
    """Whether every cell was measured, and passed parity if it was checked."""
    cells = result.job.cells
    return result.job.state == "done" and bool(cells) and all(cell.state == "done" for cell in cells)


def failure(result: BenchmarkResult, url: str) -> DeviceError | None:
    """The error for a job that did not finish; None if it did."""
    job = result.job
    if job.state == "done":
        return None
    reason = "" if job.error is None else f": {job.error.detail or job.error.title}"
    hint = None if job.error is None else job.error.hint
    return DeviceError(f"the job is {job.state}{reason}", url=url, hint=hint)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
