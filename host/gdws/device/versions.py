"""Checks of an agent's version, with advice on which side to update."""

from __future__ import annotations

from gdws.errors import DeviceProtocolError
from gdws_contract import __version__
from gdws_contract.rest import API_VERSION, Health

#: The first revision with priorities, limits, leases, idempotency keys and the queue.
SHARING = 1
#: The first revision that reads bundles of schema 2.
SCHEMA_2 = 4
#: The revision since which agents know paced arrivals and keep time series.
PACING = 5
#: The first revision that attacks engines.
ATTACKS = 6


def require_version(health: Health, url: str) -> None:
    """Raise :class:`DeviceProtocolError` for an agent with another version of the interface."""
    if health.api_version == API_VERSION:
        return
    older = health.api_version < API_VERSION
    what = "gdws-agent on the device" if older else "gdws on this machine"
    raise DeviceProtocolError(
        f"the agent ({health.agent_version}) has version {health.api_version} of the interface, "
        f"this release ({__version__}) version {API_VERSION}",
        url=url,
        hint=f"update {what}: install the same release of gdws and gdws-agent on both machines",
    )


def require_revision(
    health: Health,
    revision: int,
    what: str,
    url: str,
    *,
    hint: str = "update gdws-agent on the device, or leave out the option",
) -> None:
    """Raise :class:`DeviceProtocolError` for an agent that does not support ``what`` yet."""
    if health.api_revision < revision:
        raise DeviceProtocolError(f"the agent ({health.agent_version}) does not support {what}", url=url, hint=hint)


def require_schema(health: Health, schema_version: int, url: str) -> None:
    """Raise :class:`DeviceProtocolError` for an agent that cannot read a bundle of that schema."""
    if schema_version > 1:
        what = f"bundles of schema {schema_version}"
        hint = "update gdws-agent on the device: install the release that wrote the bundle"
        require_revision(health, SCHEMA_2, what, url, hint=hint)
