"""Everything that a report over devices says, computed from stored results alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gdws.results.report.fleet.boards import Spread, Standing, spreads, standings
from gdws.results.report.fleet.matrix import devices_of, matrix
from gdws.results.report.fleet.plans import Plans, plans_of
from gdws.results.report.fleet.summaries import summary_of
from gdws.results.report.fleet.values import Block, Device, FleetMeasurement, Kind, ResultSummary, SetAside


@dataclass(frozen=True)
class Peculiarity:
    """A condition that no equal board shares; ``others`` is what those have."""

    what: str
    own: str
    others: str


@dataclass(frozen=True)
class FleetFacts:
    """The report as plain data.

    ``plans`` has one for each of ``blocks``. ``peculiarities`` are those of the boards that stand out, by device.
    ``untimed`` results, of profiles or attacks, are not in the matrix.
    """

    devices: tuple[Device, ...]
    blocks: tuple[Block, ...]
    plans: tuple[Plans, ...]
    standings: tuple[Standing, ...]
    spreads: tuple[Spread, ...]
    peculiarities: Mapping[str, tuple[Peculiarity, ...]] = field(default_factory=dict)
    untimed: int = 0

    @property
    def odd(self) -> tuple[Standing, ...]:
        """The boards that stand out from equal ones."""
        return tuple(each for each in self.standings if each.stands_out)

    @property
    def set_aside(self) -> tuple[Device, ...]:
        """The devices that were set aside."""
        return tuple(device for device in self.devices if device.set_aside is not None)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of devices that were measured."""
        return tuple(dict.fromkeys(device.kind for device in self.devices if device.kind is not None))


def fleet_facts(results: Iterable[FleetMeasurement], set_aside: Sequence[SetAside]) -> FleetFacts:
    """What ``results`` say of the devices, and of those ``set_aside``.

    Each result is let go before the next is taken.
    """
    measured = [*map(summary_of, results)]
    devices = devices_of(measured, set_aside)
    blocks = matrix(measured, devices)
    found = standings(blocks, devices)
    return FleetFacts(
        devices=devices,
        blocks=blocks,
        plans=tuple(plans_of(block) for block in blocks),
        standings=found,
        spreads=spreads(blocks, devices),
        peculiarities={
            each.device: _peculiarities(
                each.device, [other.device for other in found if other.kind == each.kind], measured
            )
            for each in found
            if each.stands_out
        },
        untimed=sum(not each.is_timed for each in measured),
    )


def _peculiarities(device: str, equals: Sequence[str], measured: Sequence[ResultSummary]) -> tuple[Peculiarity, ...]:
    """What only ``device`` has of all ``equals``, as far as it is known."""
    told: dict[str, dict[str, dict[str, None]]] = {name: {} for name in equals}
    for each in measured:
        if each.device in told:
            for what, value in each.surroundings.items():
                if value is not None:
                    told[each.device].setdefault(what, {})[value] = None
    own = told.pop(device)
    found = []
    for what, values in own.items():
        others = list(dict.fromkeys(value for each in told.values() for value in each.get(what, {})))
        if what != "device" and others and not set(values) & set(others):
            found.append(Peculiarity(what, ", ".join(values), ", ".join(others)))
    return tuple(found)
