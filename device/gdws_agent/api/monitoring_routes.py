"""The routes for those who watch an agent: readings, metrics, the events of a job, the page about the interface."""

from __future__ import annotations

import functools
import json
from typing import Any, Dict, Optional

from fastapi import FastAPI, Header, Path
from starlette.responses import HTMLResponse, Response
from typing_extensions import Annotated

from gdws_agent.board.live import LiveBoard
from gdws_contract.base import NAME_PATTERN
from gdws_contract.live import LiveReadings

from . import api_page
from .job_events import EVENT_STREAM, EventStream, JobSubscribers
from .metrics import CONTENT_TYPE, Metrics
from .responses import documented_problems

_DAY_S = 86_400
_TEXT: Dict[str, Any] = {"schema": {"type": "string"}}
_EXAMPLE = (
    'event: progress\ndata: {"cells_total": 4, "cells_finished": 2, "stage": "measure", "ends_in_s": 14.5}\n\n'
    'event: cell\nid: 3\ndata: {"key": {"variant": "gdws", "batch_size": 8}, "state": "done"}\n\n'
)


def add_monitoring_routes(app: FastAPI, metrics: Metrics, board: LiveBoard, subscribers: JobSubscribers) -> None:
    """Add the routes to ``app``."""

    @app.get("/device/live", tags=["device"], summary="Power, temperatures and clocks right now")
    def live() -> LiveReadings:
        """From files that the kernel shows, read at most once a second however many ask; what it hides says why."""
        return board.read()

    @app.get(
        "/metrics",
        tags=["device"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"description": "Text format of Prometheus", "content": {"text/plain": _TEXT}}},
    )
    async def get_metrics() -> Response:
        """Jobs, cells, uploads, requests and the agent's own process; power and temperatures where files show them.

        Give Prometheus the read-only token as `authorization: {credentials_file: ...}`.
        """
        metrics.subscribers.set(subscribers.count())
        return Response(await metrics.rendered(), headers={"content-type": CONTENT_TYPE})

    @app.get(
        "/benchmark/{job_id}/events",
        tags=["benchmark"],
        summary="Follow a job",
        response_class=Response,
        responses={
            200: {"description": "Events", "content": {EVENT_STREAM: {"example": _EXAMPLE}}},
            **documented_problems(404, 429),
        },
    )
    async def follow_job(
        job_id: Annotated[str, Path(pattern=NAME_PATTERN)],
        last_event_id: Annotated[
            Optional[str],
            Header(description="Id of the last event that a lost stream brought; another one counts as none."),
        ] = None,
    ) -> EventStream:
        """Server-sent events: `state` and `progress` as they change, each `cell` as it ends, and `end`:

            curl -N http://localhost:8000/benchmark/5f2b9c0a7d41/events

        Cells that have ended come first. A stream that is lost goes on behind `Last-Event-ID`, also after a
        restart of the agent. Lines with a colon alone show that the agent is still there.
        """
        return await subscribers.follow(job_id, last_event_id)

    # Both are made once: they need no token, so they may be asked for by anybody and as often as they like.
    document = functools.lru_cache(maxsize=None)(lambda: json.dumps(app.openapi(), separators=(",", ":")).encode())
    page = functools.lru_cache(maxsize=None)(lambda: api_page.render(app.openapi()).encode())

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return Response(document(), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page())

    @app.get("/docs.css", include_in_schema=False)
    def docs_style() -> Response:
        return Response(api_page.STYLE, media_type="text/css", headers={"cache-control": f"public, max-age={_DAY_S}"})


def describe_access(app: FastAPI) -> None:
    """Have the OpenAPI document say how a token is sent, and that not every agent needs one."""
    make = app.openapi

    def described() -> Dict[str, Any]:
        document = make()
        document.setdefault("components", {})["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The full token, or for GET the read-only one. An agent on loopback needs none.",
            }
        }
        document["security"] = [{}, {"token": []}]
        return document

    app.openapi = described  # type: ignore[method-assign]
