"""The stored jobs of an agent, and their results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from gdws.device.client import DeviceClient
from gdws.errors import GdwsError, ResultError
from gdws_contract.rest import BenchmarkResult, Job, ModelInfo

_AGE = re.compile(r"(\d+)([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def select(jobs: Iterable[Job], *, model_ids: frozenset[str] | None = None, since: datetime | None = None) -> list[Job]:
    """Those of ``jobs`` that measured one of ``model_ids`` and were submitted since ``since``; None: all."""
    return [
        job
        for job in jobs
        if (model_ids is None or job.request.model_id in model_ids)
        and (since is None or parse_time(job.created_at) >= since)
    ]


def models_called(models: Iterable[ModelInfo], text: str) -> frozenset[str]:
    """The ids of the bundles with the name ``text``, or whose id begins with it."""
    return frozenset(model.id for model in models if model.name == text or model.id.startswith(text))


def parse_since(text: str, now: datetime) -> datetime:
    """The time that ``text`` gives: an age such as ``12h``, ``7d`` or ``2w``, or a date in ISO 8601.

    A date without a time zone is in UTC. Raises :class:`GdwsError`.
    """
    age = _AGE.fullmatch(text)
    if age is not None:
        try:
            return now - int(age[1]) * _UNITS[age[2]]
        except OverflowError:
            raise _no_time(text) from None
    try:
        return parse_time(text)
    except ValueError:
        raise _no_time(text) from None


def parse_time(text: str) -> datetime:
    """A time in ISO 8601; UTC if it has no zone. Raises ValueError."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=timezone.utc)


def fetch_result(device: DeviceClient, job_id: str) -> BenchmarkResult:
    """A job of the agent as ``gdws bench`` would have stored it, with the current state of the device.

    Raises:
        DeviceRefused: there is no such job.
        ResultError: the agent no longer has its bundle.
    """
    job = device.job(job_id)
    model = device.model(job.request.model_id)
    if model is None or model.manifest is None:
        raise ResultError(
            f"{device.url} no longer has the bundle {job.request.model_id[:12]} of job {job_id}",
            hint="keep the file that gdws bench --out writes: it has everything that a comparison needs",
        )
    saved_at = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    partial = job.state in ("queued", "running")
    return BenchmarkResult(job=job, device=device.device(), manifest=model.manifest, saved_at=saved_at, partial=partial)


def _no_time(text: str) -> GdwsError:
    return GdwsError(f"{text!r} is not a valid time", hint="give an age such as 12h, 7d or 2w, or a date: 2026-01-31")
