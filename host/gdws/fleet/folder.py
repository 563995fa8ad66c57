"""The folder of a sweep: what is wanted of which devices, and the results."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from gdws._util.files import write_atomic
from gdws.device.client import address_of
from gdws.device.devices import DeviceEntry
from gdws.errors import DeviceUnreachable, SettingsError
from gdws.fleet.sweep import Retries, Sweep, SweepJob
from gdws.results.stored import load_result
from gdws_contract.base import Name, Record
from gdws_contract.parsing import first_fault
from gdws_contract.rest import BenchmarkResult

RECORD = "sweep.json"
DATABASE = "workflows.sqlite"


class FleetRecord(Record):
    """A sweep over devices. ``id`` tells it from other runs of the same file, in databases and at agents."""

    schema_version: Literal[1] = 1
    id: Name
    created_at: str
    jobs: list[SweepJob] = Field(min_length=1)
    devices: dict[Name, DeviceEntry] = Field(min_length=1)
    retries: Retries
    shared_database: bool = Field(False, description="Whether its workflows are in a PostgreSQL database.")


@dataclass(frozen=True)
class FleetFolder:
    """A folder with the record of a sweep; opened by :func:`create` or :func:`open_folder`."""

    path: Path
    record: FleetRecord

    def jobs_of(self, device: str) -> list[SweepJob]:
        """The jobs of a device, in order."""
        tags = self.record.devices[device].tags
        return [job for job in self.record.jobs if job.is_for(tags)]

    def result_path(self, device: str, job: str) -> Path:
        """Where the result of a device's job is stored, also while it is measured."""
        return self.path / "results" / device / f"{job}.json"

    def key(self, device: str, job: str, repeat: int) -> str:
        """The idempotency key under which a job is submitted; ``repeat`` counts cancelled jobs before it."""
        text = f"{self.record.id}/{device}/{job}/{repeat}"
        return f"fleet-{hashlib.sha256(text.encode()).hexdigest()}"

    def unassigned(self) -> list[SweepJob]:
        """The jobs that are for none of the devices."""
        tags = [entry.tags for entry in self.record.devices.values()]
        return [job for job in self.record.jobs if not any(map(job.is_for, tags))]

    def require_devices(self, names: Iterable[str]) -> None:
        """Raise :class:`SettingsError` for a name that no device of the sweep has."""
        for name in names:
            if name not in self.record.devices:
                raise SettingsError(f"the sweep in {self.path} has no device {name!r}", hint=self._known_devices)

    @property
    def _known_devices(self) -> str:
        return f"its devices: {', '.join(self.record.devices)}"

    @property
    def label(self) -> str:
        """The start of the label of each job at an agent."""
        return f"fleet {self.record.id}"

    def results(self) -> Iterator[tuple[str, SweepJob, BenchmarkResult]]:
        """The stored results with their devices and jobs, in order.

        Raises:
            ResultError: a file is not a result.
            OSError: a file cannot be read.
        """
        for device in self.record.devices:
            for job in self.jobs_of(device):
                path = self.result_path(device, job.name)
                if path.exists():
                    yield device, job, load_result(path)


def create(path: Path, sweep: Sweep, devices: Mapping[str, DeviceEntry], *, shared_database: bool) -> FleetFolder:
    """A new folder for ``sweep`` over ``devices``; those without a job are left out.

    Raises:
        SettingsError: there is a sweep in the folder already, no device has a job, or a device has no address.
        OSError: the folder cannot be written.
    """
    if (path / RECORD).exists():
        raise SettingsError(f"{path} already has a sweep", hint=f"gdws fleet resume {path}, or choose another --out")
    wanted = {name: entry for name, entry in devices.items() if any(job.is_for(entry.tags) for job in sweep.jobs)}
    if not wanted:
        raise SettingsError("no device has a job of this sweep", hint="check --devices, --tag, and tags in the sweep")
    for name, entry in wanted.items():
        _require_address(name, entry.url)
    record = FleetRecord(
        id=secrets.token_hex(6),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        jobs=sweep.jobs,
        devices=wanted,
        retries=sweep.retries,
        shared_database=shared_database,
    )
    folder = FleetFolder(path, record)
    for device in wanted:
        (path / "results" / device).mkdir(parents=True, exist_ok=True)
    _write(folder)
    return folder


def open_folder(path: Path) -> FleetFolder:
    """The folder at ``path``.

    Raises :class:`SettingsError` if there is no sweep in it, or one that this release cannot read.
    """
    try:
        content = (path / RECORD).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsError(f"there is no sweep in {path}", hint="gdws fleet run SWEEP.toml starts one") from error
    try:
        return FleetFolder(path, FleetRecord.model_validate_json(content))
    except ValidationError as error:
        field, message = first_fault(error)
        raise SettingsError(f"{path / RECORD}: {field}: {message}", field=field) from error


def with_devices(folder: FleetFolder, devices: Mapping[str, DeviceEntry]) -> FleetFolder:
    """``folder`` with new addresses and tokens of its devices; their tags stay, because they choose the jobs.

    Raises:
        SettingsError: the sweep has none of ``devices``, or a device has no address.
        OSError: the record cannot be written.
    """
    known = folder.record.devices
    if not known.keys() & devices.keys():
        raise SettingsError(
            f"the sweep in {folder.path} has none of these devices: {', '.join(devices) or 'none'}",
            hint=folder._known_devices,
        )
    renewed = {
        name: devices[name].model_copy(update={"tags": entry.tags}) if name in devices else entry
        for name, entry in known.items()
    }
    for name, entry in renewed.items():
        _require_address(name, entry.url)
    changed = FleetFolder(folder.path, folder.record.model_copy(update={"devices": renewed}))
    if renewed != known:
        _write(changed)
    return changed


def _require_address(device: str, url: str) -> None:
    """Raise :class:`SettingsError` where trying again later would not help."""
    field = f"devices.{device}.url"
    if url == "local":
        raise SettingsError(
            f"{field}: a sweep starts no agent",
            field=field,
            hint="start gdws-agent, and give the address that it shows",
        )
    try:
        address_of(url)
    except DeviceUnreachable as error:
        raise SettingsError(f"{field}: {error.message}", field=field, hint="e.g. http://jetson.local:8000") from error


def _write(folder: FleetFolder) -> None:
    write_atomic(folder.path / RECORD, folder.record.model_dump_json(indent=1).encode() + b"\n")
