"""Counts and times every request for the metrics, and logs it.

A line holds method, path, status and time. Queries, headers and bodies are not logged, so that no token can be.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics
from .uploads import FORM

_LOG = logging.getLogger("gdws_agent.access")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: The status of a client that went away before its answer began, as nginx has it.
_GONE = 499


class RequestLog:
    """Times each request of ``app`` by the template of its route, so that ids do not make a metric each."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send)
        self._metrics.http_in_progress.inc()
        try:
            await self._app(scope, request.receive, request.send)
        finally:
            self._metrics.http_in_progress.dec()
            self._record(scope, request)

    def _record(self, scope: Scope, request: _Request) -> None:
        elapsed_s = time.perf_counter() - request.began_s
        method = scope["method"] if scope["method"] in _METHODS else "other"
        template = getattr(scope.get("route"), "path", None)
        route = template if isinstance(template, str) else "unmatched"
        self._metrics.http_seconds.labels(method, route, str(request.status)).observe(elapsed_s)
        if method == "POST" and (route == "/models" or request.is_form):
            self._metrics.uploads.labels("taken" if request.status < 400 else "refused").inc()
            self._metrics.upload_bytes.inc(request.received_bytes)
        # Those who look again and again would hide all else, and refusals are logged with their reasons elsewhere.
        level = logging.INFO if method != "GET" and request.status < 400 else logging.DEBUG
        if _LOG.isEnabledFor(level):
            facts = _facts(scope, request.status, elapsed_s)
            words = "%(method)s %(path)s from %(client)s: %(status)d in %(duration_ms).1f ms"
            _LOG.log(level, words, facts, extra={"request": facts})


class _Request:
    """One request in progress."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began_s = time.perf_counter()
        self.status = _GONE
        self.received_bytes = 0
        self.is_form = any(
            name == b"content-type" and value.lower().startswith(FORM.encode()) for name, value in scope["headers"]
        )
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        self.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _facts(scope: Scope, status: int, elapsed_s: float) -> Mapping[str, Any]:
    client = scope.get("client")
    return {
        "method": scope["method"][:20],
        "path": scope["path"][:200],
        "client": client[0] if client else "unknown",
        "status": status,
        "duration_ms": round(1_000 * elapsed_s, 1),
    }
