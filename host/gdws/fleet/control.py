"""What can be done to a sweep from outside its coordinators: where it stands, and its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from dbos import DBOSClient

from gdws.device.client import DeviceClient
from gdws.device.devices import named
from gdws.errors import GdwsError
from gdws.fleet.folder import DATABASE, FleetFolder
from gdws.fleet.logs import show_errors
from gdws.fleet.slots import database_named, slots_of
from gdws.fleet.states import DeviceState
from gdws.fleet.workflows import JsonSerializer, Place, Standing, standings


def device_states(place: Place) -> dict[str, DeviceState]:
    """Where every device of the sweep stands, in the order of the record."""
    found = _standings(place)
    return {
        name: found[name].state if name in found else DeviceState.model_validate({})
        for name in place.folder.record.devices
    }


def has_coordinator(place: Place) -> bool:
    """Whether a coordinator of the sweep lives."""
    slots = slots_of(place)
    try:
        return not slots.are_free()
    finally:
        slots.close()


@dataclass
class Cancelled:
    """What a cancellation did: the devices it ended, the number of jobs on them, and where jobs may still run."""

    devices: list[str] = field(default_factory=list)
    jobs: int = 0
    unreached: dict[str, str] = field(default_factory=dict)


def cancel(place: Place) -> Cancelled:
    """End the sweep: its workflows first, so that nothing more is submitted, then its jobs on the devices."""
    done = Cancelled()
    with _client(place) as client:
        if client is None:
            return done
        running = {name: each for name, each in _found(place, client).items() if not each.is_over}
        if running:
            client.cancel_workflows([each.workflow for each in running.values()])
    done.devices = list(running)
    for name in running:
        _cancel_on(place.folder, name, done)
    return done


def _cancel_on(folder: FleetFolder, name: str, done: Cancelled) -> None:
    """Cancel the sweep's jobs on a device, and note in ``done`` what came of it."""
    try:
        done.jobs += _cancel_jobs(folder, name)
    except GdwsError as error:
        done.unreached[name] = error.message


def _cancel_jobs(folder: FleetFolder, name: str) -> int:
    """Cancel the sweep's jobs on a device; returns their number. Raises :class:`GdwsError`."""
    device = named(name, folder.record.devices[name])
    cancelled = 0
    with DeviceClient(device.url, token=device.token) as client:
        queue = client.queue()
        running = [] if queue.running is None else [queue.running]
        for job in (*running, *queue.queued):
            if job.request.label is not None and job.request.label.startswith(folder.label):
                client.cancel(job.id)
                cancelled += 1
    return cancelled


def _standings(place: Place) -> dict[str, Standing]:
    with _client(place) as client:
        return {} if client is None else _found(place, client)


def _found(place: Place, client: DBOSClient) -> dict[str, Standing]:
    prefix = f"{place.folder.record.id}/"
    return standings(place, client.list_workflows(workflow_id_prefix=prefix, load_input=False))


@contextlib.contextmanager
def _client(place: Place) -> Iterator[DBOSClient | None]:
    """A client of the sweep's database; None before its first coordinator has made one."""
    if not place.folder.record.shared_database and not (place.folder.path / DATABASE).exists():
        yield None
        return
    show_errors()
    with database_named():
        client = DBOSClient(system_database_url=place.url, serializer=JsonSerializer(), retry_connection_errors=False)
    try:
        yield client
    finally:
        client.destroy()
