"""What a job asks for on a device that others use, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gdws.cli.options.agents import given

_SHARING = "On a device that others use, too"
LeaseId = Annotated[
    str | None,
    typer.Option(
        "--lease",
        metavar="ID",
        envvar="GDWS_LEASE",
        show_envvar=True,
        show_default=False,
        help="The lease to use, as gdws lease take printed it.",
        rich_help_panel=_SHARING,
    ),
]


@dataclass(frozen=True)
class SharingOptions:
    """The place of a job in the queue, its lease, and its limits."""

    priority: Annotated[
        int,
        typer.Option(
            "--priority",
            min=-10,
            max=10,
            help="Jobs of a higher one are measured first.",
            rich_help_panel=_SHARING,
        ),
    ] = 0
    lease: LeaseId = None
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            metavar="SECONDS",
            help="Give up what is not measured after this time. Default: the agent's limit.",
            rich_help_panel=_SHARING,
        ),
    ] = None
    memory_limit: Annotated[
        int | None,
        typer.Option(
            "--memory-limit",
            metavar="MIB",
            help="Give up a network whose measurement takes more memory. Default: the agent's limit.",
            rich_help_panel=_SHARING,
        ),
    ] = None

    def limits(self) -> dict[str, Any]:
        """The fields of the contract's limits that were given."""
        return given(time_s=self.time_limit, memory_mib=self.memory_limit)
