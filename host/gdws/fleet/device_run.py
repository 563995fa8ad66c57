"""The jobs of one device: measured one at a time, tried again while the device cannot serve. Knows no database."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from gdws.device.benchmark import benchmark
from gdws.device.client import DeviceClient
from gdws.device.devices import named
from gdws.errors import DeviceError, GdwsError, ResultError, SettingsError
from gdws.fleet.folder import FleetFolder
from gdws.fleet.outcome import Outcome, counted, outcome_of
from gdws.fleet.states import DeviceState, Phase
from gdws.fleet.sweep import SweepJob
from gdws.fleet.trouble import Scope, Trouble, judge, require_same
from gdws.results.stored import load_result, save_result
from gdws_contract.archive import open_bundle
from gdws_contract.errors import ContractError
from gdws_contract.rest import BenchmarkResult, Job

#: At most this often a job's progress is published, in seconds.
_PUBLISH_S = 2.0


class Stopped(BaseException):
    """The coordinator stops: nothing that was begun counts as ended. Not an Exception, so that no error is stored."""


class DeviceRun:
    """Measures the jobs of the device ``name``, one at a time.

    While a device cannot serve it is tried again, after longer and longer times: ``retries.tries`` times in a row, and
    further as long as ``others_run()``. Then it is set aside. ``publish`` is called with each new state.
    ``reconnect_s`` is how long the client tries to reconnect before that counts as a failure, ``answer_s`` how long an
    answer may take.
    """

    def __init__(
        self,
        folder: FleetFolder,
        name: str,
        publish: Callable[[DeviceState], None],
        stop: threading.Event,
        *,
        others_run: Callable[[], bool] = lambda: False,
        reconnect_s: float = 20.0,
        answer_s: float = 60.0,
    ) -> None:
        self._folder = folder
        self._name = name
        self._publish = publish
        self._stop = stop
        self._others_run = others_run
        self._reconnect_s = reconnect_s
        self._answer_s = answer_s
        self._state = DeviceState()
        self._published_s = -_PUBLISH_S
        self._client: DeviceClient | None = None

    @property
    def state(self) -> DeviceState:
        """Where the device stands."""
        return self._state

    def know(self, identity: dict[str, str]) -> None:
        """Expect the machine that was measured before; an empty ``identity`` takes any."""
        self._show(identity=identity)

    def count(self, job: str, outcome: Outcome) -> None:
        """Take the outcome of a job, which may have been measured before a restart."""
        self._state = self._state.model_copy(
            update={
                "tally": counted(self._state.tally, job, outcome),
                "identity": self._state.identity or outcome.identity,
                "job": None,
                "job_cells": 0,
                "job_cells_total": None,
            }
        )

    def end(self, phase: Phase, reason: str | None = None) -> None:
        """Publish the last state, and close the connection."""
        self._disconnect()
        self._show(phase=phase, reason=reason, next_try=None)

    def measure(self, job: SweepJob) -> Outcome:
        """Measure ``job`` and store its result, or say why not.

        What is stored already is not measured again. Raises :class:`Stopped`.
        """
        known = self._stored(job)
        if known is not None:
            return outcome_of(known, self._url).model_copy(update={"identity": {}})  # nobody answered now
        failures = 0
        while True:
            self._require_running()
            self._show(phase=Phase.MEASURING if failures == 0 else Phase.RETRYING, job=job.name, failures=failures)
            found = self._try(job)
            if isinstance(found, Outcome):
                if failures > 0:
                    self._show(phase=Phase.MEASURING, reason=None, failures=0, next_try=None)
                return found
            if found.scope is Scope.JOB:
                return Outcome(state="job refused", reason=found.reason)
            failures += 1
            retries = self._folder.record.retries
            if found.scope is Scope.DEVICE or (failures >= retries.tries and not self._others_run()):
                return Outcome(state="set aside", reason=found.reason)
            delay_s = retries.delay_s(failures)
            next_try = datetime.now(timezone.utc) + timedelta(seconds=delay_s)
            told = next_try.isoformat(timespec="seconds").replace("+00:00", "Z")
            self._show(phase=Phase.RETRYING, reason=found.reason, failures=failures, next_try=told)
            if self._stop.wait(delay_s):
                raise Stopped

    @property
    def _url(self) -> str:
        return self._folder.record.devices[self._name].url

    def _stored(self, job: SweepJob) -> BenchmarkResult | None:
        """The stored result of a job that ended and was not cancelled."""
        with contextlib.suppress(FileNotFoundError, ResultError):
            result = load_result(self._folder.result_path(self._name, job.name))
            if not result.partial and result.job.state != "cancelled":
                return result
        return None

    def _try(self, job: SweepJob) -> Outcome | Trouble:
        """The outcome of ``job``, or what is the matter."""
        try:
            return outcome_of(self._measured(self._connected(), job), self._url)
        except DeviceError as error:
            self._require_running()
            self._disconnect()
            return judge(error)
        except SettingsError as error:  # the token is not where it should be
            return Trouble(Scope.DEVICE, error.message)
        except GdwsError as error:
            return Trouble(Scope.JOB, error.message)
        except ContractError as error:
            return Trouble(Scope.JOB, f"{job.bundle}: {error.message}")
        except OSError as error:
            return Trouble(Scope.LATER, f"{error.filename or job.bundle}: {error.strerror or error}")

    def _connected(self) -> DeviceClient:
        """The client of the device, with its token as it is now where there was trouble before."""
        if self._client is None:
            device = named(self._name, self._folder.record.devices[self._name])
            self._client = DeviceClient(device.url, token=device.token, answer_s=self._answer_s)
        return self._client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _measured(self, client: DeviceClient, job: SweepJob) -> BenchmarkResult:
        """The result of ``job``, from the job that was submitted before if there is one that was not cancelled."""
        _require_unchanged(job)
        request = job.request.model_copy(update={"label": self._label(job)})
        path = self._folder.result_path(self._name, job.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        repeat = 0
        while True:
            if self._state.identity:
                require_same(self._state.identity, client.device(), client.url)
            seen: list[Job] = []

            def show(current: Job, seen: list[Job] = seen) -> None:
                seen[:] = [*seen[:1], current]
                self._require_running()
                self._progress(current)

            result = benchmark(
                client,
                Path(job.bundle),
                request,
                out=path,
                on_progress=show,
                on_unwritable=lambda error: None,  # the job goes on; the whole result is written below
                reconnect_s=self._reconnect_s,
                key=self._folder.key(self._name, job.name, repeat),
            )
            if seen and seen[0].state == "cancelled":
                repeat += 1  # this sweep or somebody else cancelled it before
                continue
            save_result(result, path)
            return result

    def _label(self, job: SweepJob) -> str:
        label = f"{self._folder.label}: {job.name}"
        return label if job.request.label is None else f"{label}, {job.request.label}"[:200]

    def _progress(self, job: Job) -> None:
        cells = len(job.cells)
        if time.monotonic() - self._published_s >= _PUBLISH_S:
            total = job.progress.cells_total
            self._show(phase=Phase.MEASURING, job_cells=cells, job_cells_total=total, reason=None, next_try=None)

    def _show(self, **changes: object) -> None:
        self._state = self._state.model_copy(update=changes)
        self._published_s = time.monotonic()
        self._publish(self._state)

    def _require_running(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _require_unchanged(job: SweepJob) -> None:
    """Raise :class:`GdwsError` if the bundle is not the one that the sweep began with.

    The agent may have that one still, and its figures would be stored with the manifest of another.
    """
    with open_bundle(job.bundle) as opened:
        if opened.id != job.request.model_id:
            raise GdwsError(f"{job.bundle} was changed since the sweep began: begin a new one")
