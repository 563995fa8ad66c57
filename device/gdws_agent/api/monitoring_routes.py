"""The routes for monitoring an agent: readings, metrics, and the page about the interface."""

from __future__ import annotations

import functools
import json
from typing import Any, Dict

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

from gdws_agent.board.live import LiveBoard
from gdws_contract.live import LiveReadings

from . import api_page
from .documented import add_schemas
from .job_events import JobSubscribers
from .metrics import CONTENT_TYPE, Metrics

_DAY_S = 86_400
_TEXT: Dict[str, Any] = {"schema": {"type": "string"}}


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
    """Have the OpenAPI document say how a token is sent, and that not every agent needs one; add its models."""
    make = app.openapi

    def described() -> Dict[str, Any]:
        document = make()
        add_schemas(document, app.routes)
        document.setdefault("components", {})["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The full token, or the read-only one for GET. Not needed by an agent on loopback.",
            }
        }
        document["security"] = [{}, {"token": []}]
        return document

    app.openapi = described  # type: ignore[method-assign]
