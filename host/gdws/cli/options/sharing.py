"""Options for a job on a shared device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from gdws.cli.options.agents import given
from gdws.cli.options.groups import panel

_sharing = panel("Sharing the device")
LeaseId = Annotated[
    str | None,
    _sharing(
        "--lease",
        metavar="ID",
        envvar="GDWS_LEASE",
        show_envvar=True,
        show_default=False,
        help="The lease to use, as printed by gdws lease take.",
    ),
]


@dataclass(frozen=True)
class SharingOptions:
    """Priority, lease and limits of a job."""

    priority: Annotated[
        int, _sharing("--priority", min=-10, max=10, help="Jobs with a higher priority are measured first.")
    ] = 0
    lease: LeaseId = None
    time_limit: Annotated[
        float | None,
        _sharing("--time-limit", metavar="SECONDS", help="Stop the job after this time. Default: the agent's limit."),
    ] = None
    memory_limit: Annotated[
        int | None,
        _sharing(
            "--memory-limit",
            metavar="MIB",
            help="Skip a network whose measurement needs more memory. Default: the agent's limit.",
        ),
    ] = None

    def fields(self) -> dict[str, Any]:
        """The fields of a request."""
        limits = given(time_s=self.time_limit, memory_mib=self.memory_limit)
        return {"priority": self.priority, "limits": limits}
