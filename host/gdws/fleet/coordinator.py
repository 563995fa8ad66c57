"""Runs a sweep: a durable workflow for each device, whose steps are the device's jobs.

DBOS stores each finished step. A coordinator that is killed leaves its workflows to the next one, which repeats the
step that was cut; the step submits its job under the same idempotency key, so that the agent measures nothing twice.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping

from dbos import DBOS, SetWorkflowID

from gdws.fleet.device_run import DeviceRun, Stopped
from gdws.fleet.logs import show_errors
from gdws.fleet.outcome import Outcome
from gdws.fleet.slots import slots_of
from gdws.fleet.states import DeviceState, Phase
from gdws.fleet.workflows import WORKFLOW, JsonSerializer, Place, Standing, standings

#: The most devices that one coordinator follows at once.
DEVICES_AT_ONCE = 64
#: How often a coordinator looks for the workflows of those that died.
TAKEOVER_S = 10.0
#: Between the first looks at where the devices stand, so that what is over at once is seen at once.
_FIRST_PAUSE_S = 0.2


class Coordinator:
    """Runs the sweep at ``place`` within ``with``; others may run it at the same time on PostgreSQL."""

    def __init__(
        self,
        place: Place,
        *,
        at_once: int = DEVICES_AT_ONCE,
        poll_s: float = 2.0,
        takeover_s: float = TAKEOVER_S,
        reconnect_s: float = 20.0,
        answer_s: float = 60.0,
    ) -> None:
        self._place = place
        self._at_once = at_once
        self._poll_s = poll_s
        self._takeover_s = takeover_s
        self._timeouts = {"reconnect_s": reconnect_s, "answer_s": answer_s}
        self._stop = threading.Event()
        self._runs: dict[str, DeviceRun] = {}
        self._waiting: set[queue.SimpleQueue[Outcome | BaseException]] = set()
        self._slots = slots_of(place)

    def __enter__(self) -> Coordinator:
        self._slots.take()
        try:
            self._launch()
        except BaseException:
            self._slots.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Leave what runs to the next coordinator; jobs on devices run on."""
        self._stop.set()
        for waiting in list(self._waiting):
            waiting.put(Stopped())
        DBOS.destroy(destroy_registry=True)
        self._slots.close()

    def _launch(self) -> None:
        show_errors()
        DBOS(
            config={
                "name": "gdws-fleet",
                "system_database_url": self._place.url,
                "application_version": self._place.app_version,
                "executor_id": self._place.executor(self._slots.number),
                "serializer": JsonSerializer(),
                "log_level": "ERROR",
                "use_listen_notify": False,
            }
        )

        # A recovery is no fault of the workflow: a machine may be restarted any number of times.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def sweep_device(device: str, identity: dict[str, str]) -> str:
            return self._sweep_device(device, identity)

        self._workflow = sweep_device
        DBOS.listen_queues([self._place.queue])
        DBOS.launch()
        DBOS.register_queue(
            self._place.queue,
            worker_concurrency=self._at_once,
            polling_interval_sec=min(1.0, self._poll_s),
            on_conflict="always_update",
        )

    def start(self, *, accept_identity: Collection[str] = ()) -> None:
        """Enqueue the devices that have no workflow, or whose last one was left before all was measured.

        ``accept_identity`` are devices that may be another machine than before.
        """
        known = self._standings()
        for device in self._place.folder.record.devices:
            last = known.get(device)
            if last is not None and not (last.is_over and last.state.phase is not Phase.DONE):
                continue
            identity = {} if last is None or device in accept_identity else last.state.identity
            with SetWorkflowID(self._place.workflow(device, 0 if last is None else last.turn + 1)):
                DBOS.enqueue_workflow(self._place.queue, self._workflow, device, identity)

    def watch(self) -> Iterator[dict[str, Standing]]:
        """Where the devices stand, again and again, until nothing more happens to any; takes over for the dead."""
        since_s, pause_s = 0.0, min(_FIRST_PAUSE_S, self._poll_s)
        while True:
            found = self._standings()
            yield found
            if all(each.is_over for each in found.values()):
                return
            if since_s >= self._takeover_s:
                self._take_over(found)
                since_s = 0.0
            self._stop.wait(pause_s)
            since_s += pause_s
            pause_s = min(1.5 * pause_s, self._poll_s)

    def _standings(self) -> dict[str, Standing]:
        prefix = f"{self._place.folder.record.id}/"
        return standings(self._place, DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False))

    def _take_over(self, found: Mapping[str, Standing]) -> None:
        """Return to the queue what coordinators that no longer live were running."""
        left = []
        for each in found.values():
            slot = self._place.slot(each.executor)
            if each.status == "PENDING" and slot is not None and self._slots.is_free(slot):
                left.append(each.workflow)
        if left:
            DBOS.resume_workflows(left, queue_name=self._place.queue)

    def _sweep_device(self, device: str, identity: dict[str, str]) -> str:
        """The workflow of a device. Must take the same steps when it is repeated."""
        run = DeviceRun(
            self._place.folder,
            device,
            functools.partial(self._publish, DBOS.workflow_id or ""),
            self._stop,
            others_run=lambda: self._others_run(device),
            **self._timeouts,
        )
        run.know(identity)
        self._runs[device] = run
        try:
            for job in self._place.folder.jobs_of(device):
                step = DBOS.run_step({"name": job.name}, self._interruptible, functools.partial(run.measure, job))
                outcome = Outcome.model_validate(step)
                if outcome.state == "set aside":
                    run.end(Phase.SET_ASIDE, outcome.reason)
                    return outcome.state
                run.count(job.name, outcome)
            run.end(Phase.DONE)
            return "done"
        finally:
            del self._runs[device]

    def _interruptible(self, work: Callable[[], Outcome]) -> dict[str, object]:
        """What ``work`` returns, as JSON; raises :class:`Stopped` at once when the coordinator stops.

        The work has a thread of its own that does not keep the process alive, because a read from a device cannot be
        interrupted.
        """
        answer: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()

        def run() -> None:
            try:
                answer.put(work())
            except BaseException as error:
                answer.put(error)

        self._waiting.add(answer)
        try:
            if self._stop.is_set():
                raise Stopped
            threading.Thread(target=run, daemon=True).start()
            found = answer.get()
        finally:
            self._waiting.discard(answer)
        if isinstance(found, BaseException):
            raise found
        return found.model_dump(mode="json")

    def _others_run(self, device: str) -> bool:
        """Whether another device of this coordinator is measuring."""
        return any(
            run.state.phase in (Phase.WAITING, Phase.MEASURING)
            for name, run in list(self._runs.items())
            if name != device
        )

    def _publish(self, workflow: str, state: DeviceState) -> None:
        if not self._stop.is_set():
            DBOS.update_workflow_attributes(workflow, state.model_dump(mode="json"))
