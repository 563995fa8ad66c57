"""``gdws lease``: reserve a shared device."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.sharing import LeaseId
from gdws.cli.views.output import errors, print_json, print_plain
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.device.client import DeviceClient
    from gdws.errors import DeviceRefused
    from gdws_contract.queueing import Lease

Holder = Annotated[
    str | None,
    typer.Option("--holder", metavar="NAME", help="Name of the holder, shown to others. Default: user@machine."),
]
Time = Annotated[float, typer.Option("--for", metavar="SECONDS", min=1, help="Time to live after the last renewal.")]
Note = Annotated[str | None, typer.Option("--note", help="Purpose of the lease, shown to others.")]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for the current holder.")
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""
Reserve a shared device. While you hold the lease, only jobs that are sent with it are started; a job that is already
running is not interrupted.

\b
  gdws lease run --device http://jetson.local:8000 -- make regression-test
  export GDWS_LEASE=$(gdws lease take --device http://jetson.local:8000 --for 3600)
  gdws bench model.gdws --device http://jetson.local:8000
  gdws lease release --device http://jetson.local:8000
""",
)


@app.command(short_help="Take a lease and print its id.")
def take(
    device: options.RemoteDevice,
    token: options.Token = None,
    holder: Holder = None,
    seconds: Time = 600.0,
    note: Note = None,
    wait: Wait = 0.0,
    as_json: options.Json = False,
) -> None:
    """Take a lease of the device and print its id, which gdws bench reads from GDWS_LEASE.

    \b
    Example:
      export GDWS_LEASE=$(gdws lease take --device http://jetson.local:8000 --for 3600)
    """
    with _client(device, token) as client:
        lease = _take(client, holder, seconds, note, wait)
    if as_json:
        print_json(lease.model_dump(mode="json"))
    else:
        typer.echo(lease.id)


@app.command(short_help="Show who holds the device.")
def show(device: options.RemoteDevice, token: options.Token = None, as_json: options.Json = False) -> None:
    """Show who holds the device.

    \b
    Example:
      gdws lease show --device http://jetson.local:8000
    """
    with _client(device, token) as client:
        lease = client.lease()
    if as_json:
        print_json({"lease": None if lease is None else lease.model_dump(mode="json")})
    elif lease is None:
        typer.echo("the device is free")
    else:
        note = "" if lease.note is None else f" ({lease.note})"
        print_plain(f"{lease.holder}{note} since {lease.since}, for {lease.expires_in_s:.0f} s more unless renewed")


@app.command(short_help="Renew a lease for its time to live.")
def renew(device: options.RemoteDevice, token: options.Token = None, lease: LeaseId = None) -> None:
    """Renew a lease for its time to live.

    \b
    Example:
      gdws lease renew --device http://jetson.local:8000 --lease ID
    """
    with _client(device, token) as client:
        renewed = client.renew_lease(_required(lease))
    errors().print(f"renewed for {renewed.expires_in_s:.0f} s", markup=False)


@app.command(short_help="Release the device.")
def release(
    device: options.RemoteDevice,
    token: options.Token = None,
    lease: LeaseId = None,
    force: Annotated[bool, typer.Option("--force", help="Release it even if another holds it.")] = False,
) -> None:
    """Release the device. Jobs of the lease that are still queued stay in the queue.

    \b
    Examples:
      gdws lease release --device http://jetson.local:8000 --lease ID
      gdws lease release --device http://jetson.local:8000 --force
    """
    with _client(device, token) as client:
        if force:
            client.force_release()
        else:
            client.release_lease(_required(lease))
    errors().print("the device is free", markup=False)


@app.command(short_help="Hold a lease while a command runs.")
def run(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The command; GDWS_LEASE has the lease.")
    ],
    device: options.RemoteDevice,
    token: options.Token = None,
    holder: Holder = None,
    seconds: Time = 120.0,
    note: Note = None,
    wait: Wait = 0.0,
) -> None:
    """Hold a lease while a command runs, and release it however the command ends; its exit code is returned.

    The lease is renewed meanwhile, and expires soon if this machine dies.

    \b
    Example:
      gdws lease run --device http://jetson.local:8000 --wait 1800 -- ./regression-test.sh
    """
    from gdws.device.leases import renewing
    from gdws.errors import DeviceError

    with _client(device, token) as client:
        lease = _take(client, holder, seconds, note, wait)
        try:
            with renewing(client, lease.id):
                code = _run(command, {"GDWS_LEASE": lease.id, "GDWS_DEVICE": device})
        finally:
            try:
                client.release_lease(lease.id)
            except DeviceError as error:
                errors().print(f"the lease was not released: {error.message}", markup=False)
    raise typer.Exit(code)


def _client(device: str, token: str | None) -> DeviceClient:
    from gdws.device.client import DeviceClient

    return DeviceClient(device, token=token)


def _take(client: DeviceClient, holder: str | None, seconds: float, note: str | None, wait: float) -> Lease:
    from gdws.cli.options.agents import make_request
    from gdws.device.leases import default_holder, take_lease
    from gdws.device.versions import SHARING, require_revision
    from gdws_contract.queueing import LeaseRequest

    asked = make_request(LeaseRequest, "lease", holder=holder or default_holder(), ttl_s=seconds, note=note)
    require_revision(client.check(), SHARING, "leases", client.url)

    def tell(error: DeviceRefused) -> None:
        errors().print(f"waiting: {error.message}", markup=False)

    return take_lease(client, asked.holder, asked.ttl_s, asked.note, wait_s=wait, on_wait=tell)


def _required(lease: str | None) -> str:
    if not lease:
        raise GdwsError("no lease is given", hint="give --lease, or set GDWS_LEASE to what gdws lease take printed")
    return lease


def _run(command: list[str], variables: dict[str, str]) -> int:
    """Run ``command`` and return its exit code as a shell would."""
    try:
        code = subprocess.run(command, env={**os.environ, **variables}).returncode
    except OSError as error:
        raise GdwsError(f"{command[0]}: {error.strerror}", hint="check the command after --") from error
    return code if code >= 0 else 128 - code
