"""Security headers of all responses."""

from __future__ import annotations

from typing import Tuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Pages come with their own scripts and styles, in files of their own, and with nothing from another place. Where
#: browsers know trusted types, no script can turn a text into markup.
_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

#: No CORS header is among them: pages of other sites cannot read an answer.
HEADERS: Tuple[Tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class SecurityHeaders:
    """Adds :data:`HEADERS` to every response that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name.lower() for name, _ in own}
                message = {**message, "headers": own + [pair for pair in HEADERS if pair[0] not in names]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
