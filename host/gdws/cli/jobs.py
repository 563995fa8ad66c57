"""``gdws jobs``: the running, queued and past jobs of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.views.output import errors, print_json, print_table

if TYPE_CHECKING:
    from gdws.device.client import DeviceClient
    from gdws_contract.rest import Job

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""
List and cancel the jobs of a device.

\b
  gdws jobs list --device http://jetson.local:8000
  gdws jobs cancel ID --device http://jetson.local:8000
""",
)


@app.command("list", short_help="List the running job, queued jobs, and the last that ended.")
def list_jobs(
    device: options.RemoteDevice,
    token: options.Token = None,
    ended: Annotated[
        int, typer.Option("--ended", metavar="N", min=0, max=1000, help="Number of ended jobs to show.")
    ] = 10,
    as_json: options.Json = False,
) -> None:
    """List the running job, queued jobs in order, and the last that ended.

    \b
    Example:
      gdws jobs list --device http://jetson.local:8000 --ended 3
    """
    from gdws_contract.rest import FINAL_STATES

    with _client(device, token) as client:
        queue = client.queue()
        found = [job for state in FINAL_STATES for job in client.last_jobs(state, ended)] if ended else []
    last = sorted(found, key=lambda job: job.finished_at or "", reverse=True)[:ended]
    if as_json:
        print_json({**queue.model_dump(mode="json"), "ended": [job.model_dump(mode="json") for job in last]})
        return
    if queue.lease is not None:
        errors().print(f"{queue.lease.holder} holds the device", markup=False)
    running = [] if queue.running is None else [queue.running]
    rows = [_row(job) for job in (*running, *queue.queued, *last)]
    if not rows:
        errors().print("no jobs", markup=False)
        return
    print_table(
        ["job", "state", "cells", "priority", "when", "for", "label"], rows, words=["state", "when", "for", "label"]
    )
    if queue.queued_total > len(queue.queued):
        errors().print(f"and {queue.queued_total - len(queue.queued)} more in the queue", markup=False)


@app.command(short_help="Cancel a job.")
def cancel(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="As gdws jobs list shows it.")],
    device: options.RemoteDevice,
    token: options.Token = None,
) -> None:
    """Cancel a job; its finished cells are kept.

    \b
    Example:
      gdws jobs cancel 5f2b9c0a7d41 --device http://jetson.local:8000
    """
    with _client(device, token) as client:
        job = client.cancel(job_id)
    errors().print(f"{job.id} is {job.state}", markup=False)


def _client(device: str, token: str | None) -> DeviceClient:
    from gdws.device.client import DeviceClient

    return DeviceClient(device, token=token)


def _row(job: Job) -> list[str]:
    return [
        job.id,
        job.state,
        f"{job.progress.cells_finished}/{job.progress.cells_total}",
        str(job.request.priority),
        when(job),
        job.lease_holder or "-",
        job.request.label or "-",
    ]


def when(job: Job) -> str:
    """When a job is expected to start or end, or when it ended."""
    if job.finished_at is not None:
        return f"ended {job.finished_at[:19]}Z"
    if job.waits_for_lease:
        return "when the device is free"
    estimate = job.estimate
    if job.state == "queued":
        place = "" if job.queue_position is None else f"{job.queue_position + 1}. "
        starts = None if estimate is None else estimate.starts_in_s
        return f"{place}in the queue" if starts is None else f"{place}in the queue, starts in about {_duration(starts)}"
    ends = None if estimate is None else estimate.ends_in_s
    return "now" if ends is None else f"about {_duration(ends)} left"


def _duration(seconds: float) -> str:
    """A duration in a single unit, since it is an estimate."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.0f} h"
