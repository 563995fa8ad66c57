"""Rejects requests that state their length twice: a proxy in front may use the other statement (RFC 9112, 6.1).

What one of two takes for the rest of a body the other takes for a request of its own, which then passes unchecked.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from gdws_agent.errors import FramingAmbiguous

from .responses import error_response


class Framing:
    """Accepts requests with one length, and closes the connection of others after the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_ambiguous(scope):
            error = FramingAmbiguous(
                "the length of the body is stated by Transfer-Encoding where Content-Length or HTTP/1.0 rules it out",
                field="transfer-encoding",
                hint="send one of the two headers, over HTTP/1.1",
            )
            await error_response(error, {"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_ambiguous(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0")
