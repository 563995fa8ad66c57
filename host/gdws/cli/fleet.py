"""``gdws fleet``: sweeps over many devices that survive restarts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.views.output import errors, print_json, print_table
from gdws.errors import ExitCode

if TYPE_CHECKING:
    from gdws.device.devices import DeviceEntry
    from gdws.fleet.folder import FleetFolder
    from gdws.fleet.states import DeviceState
    from gdws.fleet.workflows import Place
    from gdws_contract.rest import BenchmarkRequest

#: The devices that a coordinator follows at once, unless it is told otherwise.
_AT_ONCE = 64

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the sweep, as given to --out.")]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="GDWS_FLEET_DATABASE",
        show_envvar=True,
        show_default=False,
        help="A PostgreSQL database, for several coordinators on one folder. Default: SQLite in the folder.",
    ),
]
AtOnce = Annotated[
    int,
    typer.Option("--at-once", metavar="N", min=1, max=1000, help="Devices that this coordinator follows at once."),
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""
Measure a sweep on many devices: bundles, backends, precisions, batch sizes, threads and power modes on every
device that matches. Each device has its own pace; one that cannot serve is tried again later, and at last set aside
with the reason.

Whatever is killed, the coordinator or an agent, gdws fleet resume continues and measures nothing twice but what was
cut. See docs/fleet.md. Needs gdws[fleet].

\b
  gdws fleet run SWEEP.toml --devices devices.toml --tag orin --out nightly
  gdws fleet status nightly
  gdws fleet resume nightly
  gdws fleet report nightly --out report.html
""",
)


@app.command(short_help="Start a sweep and follow it to its end.")
def run(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="The file of the sweep; see docs/fleet.md.")],
    devices: Annotated[
        Path | None,
        typer.Option("--devices", metavar="FILE", help="File of named devices. Default: devices.toml."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME", help="Only devices with this tag. Repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the sweep, a new one.")] = Path(
        "gdws-fleet"
    ),
    database: Database = None,
    at_once: AtOnce = _AT_ONCE,
    reconnect: options.Reconnect = 20.0,
    quiet: options.Quiet = False,
) -> None:
    """Start a sweep and follow it to its end. Ctrl-C leaves it to gdws fleet resume; jobs on devices run on.

    \b
    Exit codes:
      0  every cell was measured
      1  a cell or a job was not
      3  a device was set aside

    \b
    Examples:
      gdws fleet run SWEEP.toml --devices devices.toml --out nightly
      gdws fleet run SWEEP.toml --tag orin --tag xavier --out nightly
    """
    from gdws.device.devices import tagged_devices
    from gdws.fleet.engine import require_engine
    from gdws.fleet.folder import create
    from gdws.fleet.sweep import load_sweep

    require_engine()
    chosen, wanted = tagged_devices(devices, tag or []), load_sweep(sweep)
    if database is not None:
        _require_database(database)
    folder = create(out, wanted, chosen, shared_database=database is not None)
    for job in folder.unassigned():
        told = f"no device measures {job.name}: none has the tag {' or '.join(job.tags)}"
        errors().print(told, markup=False)
    _follow(folder, database, at_once, reconnect, quiet)


@app.command(short_help="Continue a sweep, or help another coordinator with it.")
def resume(
    folder: Folder,
    devices: Annotated[
        Path | None,
        typer.Option("--devices", metavar="FILE", help="New addresses and tokens. Default: as before."),
    ] = None,
    accept_identity: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-identity",
            metavar="DEVICE",
            help="A device that is known to be right although another machine seems to answer. Repeatable.",
        ),
    ] = None,
    database: Database = None,
    at_once: AtOnce = _AT_ONCE,
    reconnect: options.Reconnect = 20.0,
    quiet: options.Quiet = False,
) -> None:
    """Continue a sweep after its coordinator ended, and try devices again that were set aside.

    With --database, other coordinators may work on the sweep at the same time.

    \b
    Example:
      gdws fleet resume nightly
    """
    from gdws.device.devices import load_devices
    from gdws.fleet.engine import require_engine
    from gdws.fleet.folder import open_folder, with_devices

    require_engine()
    opened = open_folder(folder)
    opened.require_devices(accept_identity or ())
    if devices is not None:
        opened = with_devices(opened, load_devices(devices))
    _follow(opened, database, at_once, reconnect, quiet, accept_identity or [])


@app.command(short_help="Show how far each device is.")
def status(
    folder: Folder,
    database: Database = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until nothing more happens.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show how far each device is, and why one is retried or set aside.

    \b
    Example:
      gdws fleet status nightly --watch
    """
    import time

    from gdws.cli.views.fleet import COLUMNS, LiveFleet, fleet_rows
    from gdws.fleet.control import device_states, has_coordinator

    place = _place(folder, database)
    states = device_states(place)
    if not (_is_over(states) or has_coordinator(place)):
        errors().print(f"no coordinator works on it; continue with: gdws fleet resume {folder}", markup=False)
    if watch:
        with LiveFleet(_job_counts(place.folder), quiet=False) as live:
            live.show(states)
            while not _is_over(states):
                time.sleep(2.0)
                states = device_states(place)
                live.show(states)
    if as_json:
        print_json({name: state.model_dump(mode="json") for name, state in states.items()})
    elif not watch:
        print_table(COLUMNS, fleet_rows(states, _job_counts(place.folder)), words=["state", "measuring", "reason"])


@app.command(short_help="End a sweep.")
def cancel(folder: Folder, database: Database = None) -> None:
    """End a sweep and cancel its jobs on the devices; finished cells are kept. gdws fleet resume continues it.

    \b
    Example:
      gdws fleet cancel nightly
    """
    from gdws.fleet.control import cancel as end
    from gdws_contract.findings.text import plural

    done = end(_place(folder, database))
    for device, reason in done.unreached.items():
        errors().print(f"{device}: its job was not cancelled: {reason}", markup=False)
    told = f"cancelled on {plural(len(done.devices), 'device')}, {plural(done.jobs, 'job')} that ran or waited there"
    errors().print(told, markup=False)
    if done.unreached:
        raise typer.Exit(ExitCode.UNAVAILABLE)


@app.command(short_help="Write a report over the devices of a sweep.")
def report(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A .html, .md or .json file. Default: Markdown, printed.")
    ] = None,
    database: Database = None,
) -> None:
    """Write a report over the devices of a sweep, also while it runs: networks by devices, equal boards that differ,
    the plans for the worst and for the median board, and devices that were set aside.

    \b
    Example:
      gdws fleet report nightly --out report.html
    """
    from gdws.fleet.control import device_states
    from gdws.fleet.reporting import measurements, set_aside
    from gdws.results.report.fleet import render_fleet_report, write_fleet_report

    place = _place(folder, database)
    measured, left = measurements(place.folder), set_aside(place.folder, device_states(place))
    if out is None:
        typer.echo(render_fleet_report(measured, left, ".md"), nl=False)
        return
    write_fleet_report(measured, left, out)
    errors().print(f"wrote {out}", markup=False)


def measure_on(
    devices: Mapping[str, DeviceEntry],
    bundle: Path,
    request: BenchmarkRequest,
    out: Path,
    *,
    reconnect_s: float,
    quiet: bool,
) -> None:
    """Measure one bundle on all ``devices`` as a sweep in the folder ``out``, and end as ``gdws fleet run`` does."""
    from gdws.fleet.folder import create
    from gdws.fleet.sweep import sweep_of

    folder = create(out, sweep_of(bundle, request), devices, shared_database=False)
    _follow(folder, None, _AT_ONCE, reconnect_s, quiet)


def _place(folder: Path, database: str | None) -> Place:
    from gdws.fleet.engine import require_engine
    from gdws.fleet.folder import open_folder

    opened = open_folder(folder)
    require_engine()
    from gdws.fleet.workflows import place_of

    return place_of(opened, database)


def _follow(
    folder: FleetFolder,
    database: str | None,
    at_once: int,
    reconnect_s: float,
    quiet: bool,
    accept_identity: list[str] | None = None,
) -> None:
    """Run a coordinator until nothing more happens, show it, and end the command accordingly."""
    from gdws.cli.views.fleet import LiveFleet
    from gdws.fleet.coordinator import Coordinator
    from gdws.fleet.workflows import place_of

    states: dict[str, DeviceState] = {}
    try:
        with (
            Coordinator(place_of(folder, database), at_once=at_once, reconnect_s=reconnect_s) as coordinator,
            LiveFleet(_job_counts(folder), quiet=quiet) as live,
        ):
            coordinator.start(accept_identity=accept_identity or ())
            for found in coordinator.watch():
                states = {device: standing.state for device, standing in found.items()}
                live.show(states)
    except KeyboardInterrupt:
        errors().print(f"stopped; jobs on devices run on. Continue with: gdws fleet resume {folder.path}", markup=False)
        raise
    _end(folder, states)


def _end(folder: FleetFolder, states: dict[str, DeviceState]) -> None:
    """Say what was not measured, and end with the code for it."""
    from gdws.fleet.states import Phase
    from gdws_contract.findings.text import plural

    left = {device: state for device, state in states.items() if state.phase is not Phase.DONE}
    for device, state in states.items():
        for job, reason in state.tally.not_measured.items():
            errors().print(f"{device}: {job} was not measured: {reason}", markup=False)
    for device, state in states.items():
        if state.tally.failed_cells:
            failed = plural(state.tally.failed_cells, "cell")
            told = f"{device}: {failed} not measured; gdws fleet report {folder.path} has the reasons"
            errors().print(told, markup=False)
    for device, state in left.items():
        errors().print(f"{device} is {state.phase.value}: {state.reason or 'by request'}", markup=False)
    errors().print(f"results are in {folder.path}", markup=False)
    if left:
        errors().print(f"to try again: gdws fleet resume {folder.path}", markup=False)
        raise typer.Exit(ExitCode.UNAVAILABLE)
    if any(state.tally.not_measured or state.tally.failed_cells for state in states.values()):
        raise typer.Exit(ExitCode.NEGATIVE)


def _require_database(database: str) -> None:
    """Raise :class:`GdwsError` if the database cannot be used, before there is a folder that depends on it."""
    from gdws.fleet.slots import PostgresSlots
    from gdws.fleet.workflows import database_url

    PostgresSlots(database_url(database), "").close()


def _is_over(states: dict[str, DeviceState]) -> bool:
    return all(state.phase.is_final for state in states.values())


def _job_counts(folder: FleetFolder) -> dict[str, int]:
    return {device: len(folder.jobs_of(device)) for device in folder.record.devices}
