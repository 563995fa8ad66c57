"""Options for the devices of a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gdws.cli.options.agents import LOCAL
from gdws.cli.options.groups import panel
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.cli.options.agents import AgentOptions
    from gdws.cli.options.sharing import SharingOptions
    from gdws.device.devices import DeviceEntry

_fleet = panel("Several devices")


@dataclass(frozen=True)
class FleetOptions:
    """The devices of a file, in place of one."""

    devices: Annotated[
        Path | None,
        _fleet(
            "--devices",
            metavar="FILE",
            help="Measure on all devices of this file, as gdws fleet run does; --out is then the folder of the sweep.",
        ),
    ] = None
    tag: Annotated[
        list[str] | None, _fleet("--tag", metavar="NAME", help="Only devices with this tag. Repeatable.")
    ] = None

    def chosen(
        self, agent: AgentOptions, sharing: SharingOptions, out: Path, *, as_json: bool
    ) -> dict[str, DeviceEntry]:
        """The devices by name; empty without --devices. Raises :class:`GdwsError` for what goes with one device."""
        from gdws.device.devices import tagged_devices
        from gdws.fleet.engine import require_engine

        if self.devices is None:
            if self.tag:
                raise GdwsError("--tag chooses among the devices of a file", hint="give --devices devices.toml")
            return {}
        for_one = {
            "--device": agent.device != LOCAL,
            "--lease": sharing.lease is not None,
            "--json": as_json,
        }
        for name, is_given in for_one.items():
            if is_given:
                raise GdwsError(f"{name} is for one device, and --devices for those of a file", hint="give one of them")
        if out.suffix:
            raise GdwsError(f"--out {out}: with --devices it is a folder", hint="e.g. --out nightly")
        require_engine()
        return tagged_devices(self.devices, self.tag or [])
