"""A sweep as the report over devices reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gdws.fleet.folder import FleetFolder
from gdws.fleet.states import DeviceState, Phase
from gdws.results.report.fleet import FleetMeasurement, SetAside


def measurements(folder: FleetFolder) -> Iterator[FleetMeasurement]:
    """The stored results, those of running jobs too, each read when it is asked for.

    Raises:
        ResultError: a file is not a result.
        OSError: a file cannot be read.
    """
    devices = folder.record.devices
    return (FleetMeasurement(device, tuple(devices[device].tags), result) for device, _, result in folder.results())


def set_aside(folder: FleetFolder, states: Mapping[str, DeviceState]) -> list[SetAside]:
    """The devices that cannot serve at the moment or were set aside, and the jobs that a device could not measure."""
    found = []
    for device, state in states.items():
        tags = tuple(folder.record.devices[device].tags)
        if state.phase in (Phase.SET_ASIDE, Phase.RETRYING) and state.reason is not None:
            found.append(SetAside(device, tags, state.reason, is_retried=state.phase is Phase.RETRYING))
        for job, reason in state.tally.not_measured.items():
            if not folder.result_path(device, job).exists():
                found.append(SetAside(device, tags, reason, job))
    return found
