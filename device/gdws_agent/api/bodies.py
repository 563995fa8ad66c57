"""Bounds on the bodies of requests, on every route: how large, and how slow.

What a route reads is counted as it arrives, whatever ``Content-Length`` says. What a route does not read is not
taken from the connection at all. The routes that take bundles have bounds of their own on top of these.
"""

from __future__ import annotations

import time
from typing import Callable, Optional

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gdws_agent.errors import BodyTooLarge, BodyTooSlow

from .uploads import FORM, MAX_JSON_BYTES

#: The longest silence within a body, and the least that must have come on average once that time is over.
MAX_SILENCE_S = 30.0
MIN_BYTES_PER_S = 1_024


class BodyLimits:
    """Lets no route read more than its limit, nor wait for a body that trickles.

    Routes meet :class:`BodyTooLarge` or :class:`BodyTooSlow` where they read. ``max_upload_bytes`` holds for
    forms and for ``POST /models``, :data:`MAX_JSON_BYTES` for all else.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_upload_bytes: int,
        *,
        max_silence_s: float = MAX_SILENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes
        self._max_silence_s = max_silence_s
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._limit_bytes(scope), self._max_silence_s, self._clock)
        await self._app(scope, body.receive, send)

    def _limit_bytes(self, scope: Scope) -> int:
        if scope["method"] != "POST":
            return MAX_JSON_BYTES
        content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        media_type = content_type.decode("latin-1").split(";")[0].strip().lower()
        takes_bundle = scope["path"] == "/models" or media_type == FORM
        return self._max_upload_bytes if takes_bundle else MAX_JSON_BYTES


class _Body:
    """One request's body as it arrives."""

    def __init__(self, receive: Receive, limit_bytes: int, max_silence_s: float, clock: Callable[[], float]) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._max_silence_s = max_silence_s
        self._clock = clock
        self._began_s: Optional[float] = None
        self._size = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """Return the next message; after the body's end, wait for the client to go as long as it takes.

        Raises:
            BodyTooLarge, BodyTooSlow
        """
        if self._is_whole:
            return await self._receive()
        began_s = self._began_s = self._clock() if self._began_s is None else self._began_s
        try:
            with anyio.fail_after(self._max_silence_s):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow(f"the body stalled for {self._max_silence_s:g} s") from None
        if message["type"] != "http.request":
            return message
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._limit_bytes:
            raise BodyTooLarge(
                f"the body has more than {self._limit_bytes} bytes",
                hint="the option --max-upload-mb of the agent sets the limit for bundles",
            )
        elapsed_s = self._clock() - began_s
        if not self._is_whole and elapsed_s > self._max_silence_s and self._size < MIN_BYTES_PER_S * elapsed_s:
            raise _too_slow(f"{self._size} bytes in {elapsed_s:.0f} s are too few")
        return message


def _too_slow(message: str) -> BodyTooSlow:
    return BodyTooSlow(message, hint="send the request again over a better connection")
