"""The agent's log as text or JSON lines; lines of a job have the job's id and its cell.

What the thread of the queue logs belongs to the job that it runs. Other lines about a job begin with ``job ID:``,
and the id is taken from there.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from datetime import datetime, timezone
from typing import Any, Dict, Optional, TextIO

from gdws_agent.jobs.events import JobEvent
from gdws_agent.log_limits import BoundedHandler
from gdws_contract.rest import CellKey

_ABOUT_JOB = re.compile(r"job ([A-Za-z0-9][A-Za-z0-9._-]{0,99}): ")
#: Maximum length of a message, in characters.
_MAX_MESSAGE = 2_000
#: Characters that must not be in a message: line breaks and control characters.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class _Running(threading.local):
    """The job that this thread runs, and its cell."""

    job_id: Optional[str] = None
    cell: Optional[str] = None


_running = _Running()


def track_running_job(event: JobEvent) -> None:
    """Add the job to log lines of the thread that runs it; a subscriber of job events."""
    if event.state == "running":
        _running.job_id, _running.cell = event.job_id, None
    elif event.job_id == _running.job_id:
        if event.state is not None:
            _running.job_id = _running.cell = None
        elif event.cell is not None:
            _running.cell = cell_in_words(event.cell.key)
        elif event.progress is not None:
            key = event.progress.get("cell")
            _running.cell = cell_in_words(key) if isinstance(key, CellKey) else None


def cell_in_words(key: CellKey) -> str:
    """Return a cell's key in one word, e.g. ``gdws/onnxruntime/fp32/1`` with the batch size at the end."""
    mode = "" if key.power_mode is None else f"/{key.power_mode}"
    return f"{key.variant}/{key.backend}/{key.precision}/{key.batch_size}{mode}"


def configure(level: str, form: str, stream: TextIO) -> None:
    """Log everything from ``level`` on to ``stream``, as ``text`` or ``json``, with rate limits."""
    handler = BoundedHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what clients send is answered, not logged


class TextLines(logging.Formatter):
    """Time, level and message, then ``job=... cell=...`` where the message itself does not name the job."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = _cut(record.message)
        line = _CONTROL.sub("?", super().formatMessage(record))
        about = _about(record)
        if _ABOUT_JOB.match(record.message):
            about.pop("job_id", None)
        facts = " ".join(f"{name.replace('job_id', 'job')}={value}" for name, value in about.items())
        return f"{line} {facts}" if facts else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and where known job_id, cell, request and error."""

    def format(self, record: logging.LogRecord) -> str:
        fields: Dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
            **_about(record),
        }
        request = getattr(record, "request", None)
        if request is not None:
            fields["request"] = request
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, default=str)


def _cut(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"


def _about(record: logging.LogRecord) -> Dict[str, str]:
    """Return ``job_id`` and ``cell`` of a line, where it has them."""
    named = _ABOUT_JOB.match(record.getMessage())
    job_id = named.group(1) if named else _running.job_id
    cell = _running.cell if job_id is not None and job_id == _running.job_id else None
    return {name: value for name, value in (("job_id", job_id), ("cell", cell)) if value is not None}
