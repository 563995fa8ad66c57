"""Names, places and contents of a sweep's workflows in DBOS's tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dbos import Serializer, WorkflowStatus
from pydantic import ValidationError

from gdws.errors import GdwsError
from gdws.fleet.folder import DATABASE, FleetFolder
from gdws.fleet.states import DeviceState, Phase

#: Only workflows of this form are resumed; raise it when the steps of a workflow change.
VERSION = "1"
WORKFLOW = "sweep_device"


class JsonSerializer(Serializer):
    """Stores values as JSON. DBOS's own default is pickle, which runs what others may have put into a database."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_as_text)

    def deserialize(self, serialized_data: str) -> Any:
        value = json.loads(serialized_data)
        if isinstance(value, dict) and set(value) == {_ERROR}:
            return GdwsError(value[_ERROR])
        return value

    def name(self) -> str:
        return "gdws_json"


_ERROR = "gdws.fleet.error"


def _as_text(value: object) -> object:
    if isinstance(value, BaseException):
        return {_ERROR: f"{type(value).__name__}: {value}"}
    raise TypeError(f"{type(value).__name__} is not stored")


@dataclass(frozen=True)
class Place:
    """Where the workflows of a sweep are kept, and what they are called."""

    folder: FleetFolder
    url: str

    @property
    def queue(self) -> str:
        """The queue of the sweep's devices."""
        return f"gdws-fleet-{self.folder.record.id}"

    @property
    def app_version(self) -> str:
        """Keeps coordinators from running the workflows of other sweeps in the same database."""
        return f"{self.queue}-{VERSION}"

    def executor(self, slot: int) -> str:
        """The name of the coordinator in a slot."""
        return f"{self.folder.record.id}/{slot}"

    def slot(self, executor: str | None) -> int | None:
        """The slot of a coordinator of this sweep."""
        start, _, number = (executor or "").rpartition("/")
        return int(number) if start == self.folder.record.id and number.isdigit() else None

    def workflow(self, device: str, turn: int) -> str:
        """The workflow of a device; ``turn`` counts how often the sweep was resumed after the device was set aside."""
        return f"{self.folder.record.id}/{device}/{turn}"

    def device(self, workflow: str) -> tuple[str, int]:
        """The device and the turn of a workflow."""
        start, _, turn = workflow.rpartition("/")
        return start.partition("/")[2], int(turn)


def place_of(folder: FleetFolder, database: str | None) -> Place:
    """The place of a folder's workflows; ``database`` is the URL of the shared one.

    Raises :class:`GdwsError` if the sweep has a shared database and it is not given, or the reverse.
    """
    if folder.record.shared_database and database is None:
        raise GdwsError(
            f"the workflows of {folder.path} are in a PostgreSQL database",
            hint="give --database, or set GDWS_FLEET_DATABASE",
        )
    if not folder.record.shared_database:
        if database is not None:
            raise GdwsError(f"the workflows of {folder.path} are in {DATABASE} there", hint="leave out --database")
        return Place(folder, f"sqlite:///{(folder.path / DATABASE).resolve()}")
    assert database is not None
    return Place(folder, database_url(database))


def database_url(database: str) -> str:
    """The URL of a PostgreSQL ``database`` with the driver that is used. Raises :class:`GdwsError` for another URL."""
    if not database.startswith(("postgresql://", "postgresql+psycopg://", "postgres://")):
        raise GdwsError("the database is not a PostgreSQL URL", hint="e.g. postgresql://user@host/gdws")
    return f"postgresql+psycopg://{database.partition('://')[2]}"


@dataclass(frozen=True)
class Standing:
    """Where a device stands: its last workflow, how that is doing, and what it says."""

    workflow: str
    turn: int
    status: str
    executor: str | None
    state: DeviceState

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens until the sweep is resumed."""
        return self.status not in ("ENQUEUED", "PENDING", "DELAYED")


def standings(place: Place, found: Iterable[WorkflowStatus]) -> dict[str, Standing]:
    """Where each device stands, in the order of the record, from the workflows of all turns."""
    last: dict[str, tuple[int, WorkflowStatus]] = {}
    for each in found:
        device, turn = place.device(each.workflow_id)
        if device not in last or turn > last[device][0]:
            last[device] = (turn, each)
    return {device: _standing(*last[device]) for device in place.folder.record.devices if device in last}


def _standing(turn: int, found: WorkflowStatus) -> Standing:
    try:
        state = DeviceState.model_validate(found.attributes or {})
    except ValidationError:  # of a later release
        state = DeviceState()
    if found.status == "CANCELLED":
        state = state.model_copy(update={"phase": Phase.CANCELLED, "next_try": None})
    elif found.status in ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
        reason = str(found.error) if found.error is not None else found.status
        state = state.model_copy(update={"phase": Phase.SET_ASIDE, "reason": f"the coordinator failed: {reason}"})
    return Standing(found.workflow_id, turn, found.status, found.executor_id, state)
