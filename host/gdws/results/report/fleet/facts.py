"""Everything that a report over devices says, computed from stored results alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdws.results.report.fleet.matrix import devices_of, matrix
from gdws.results.report.fleet.values import Block, Device, FleetMeasurement, SetAside


@dataclass(frozen=True)
class FleetFacts:
    """The report as plain data. ``untimed`` results, of profiles or attacks, are not in the matrix."""

    devices: tuple[Device, ...]
    blocks: tuple[Block, ...]
    untimed: int


def fleet_facts(measured: Sequence[FleetMeasurement], set_aside: Sequence[SetAside]) -> FleetFacts:
    """What ``measured`` says of the devices, and of those ``set_aside``."""
    devices = devices_of(measured, set_aside)
    return FleetFacts(
        devices=devices,
        blocks=matrix(measured, devices),
        untimed=sum(not each.result.job.request.is_timed for each in measured),
    )
