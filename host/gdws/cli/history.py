"""List the past jobs of a device, newest first.

gdws compare takes the ids of two jobs. See docs/agent.md for how long an agent keeps them.

\b
Examples:
  gdws history --device http://jetson.local:8000 --since 7d
  gdws history --device http://jetson.local:8000 --model mnist-preact-resnet --state done --json
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.views.output import errors, print_json, print_table
from gdws_contract.rest import JobState

if TYPE_CHECKING:
    from gdws_contract.rest import Job


def history(
    device: options.RemoteDevice,
    token: options.Token = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Only jobs of this bundle: its name, or a prefix of its id."),
    ] = None,
    state: Annotated[JobState | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Only jobs submitted since then: 12h, 7d, 2w, or 2026-01-31."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the past jobs of a device, newest first."""
    from gdws.device.client import DeviceClient
    from gdws.device.history import models_called, parse_since, select

    begin = None if since is None else parse_since(since, datetime.now(timezone.utc))
    with DeviceClient(device, token=token) as client:
        models = client.models()
        jobs = client.jobs(state)
    wanted = None if model is None else models_called(models, model)
    found = select(jobs, model_ids=wanted, since=begin)
    if as_json:
        print_json([job.model_dump(mode="json") for job in found])
        return
    if not found:
        errors().print("no jobs", markup=False)
        return
    names = {each.id: each.name for each in models}
    rows = [_row(job, names.get(job.request.model_id)) for job in found]
    columns = ["job", "sent", "state", "bundle", "cells", "batches", "backends", "label"]
    print_table(columns, rows, words=["sent", "state", "bundle", "backends", "label"])


def _row(job: Job, bundle: str | None) -> list[str]:
    request = job.request
    return [
        job.id,
        f"{job.created_at[:19]}Z",
        job.state,
        bundle or request.model_id[:12],
        f"{job.progress.cells_finished}/{job.progress.cells_total}",
        ",".join(map(str, request.batch_sizes)),
        ",".join(request.backends or ["-"]),
        request.label or "-",
    ]
