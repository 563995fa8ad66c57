"""HTTP connections with timeouts for the head of a request and for clients that do not read the response."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Optional

from uvicorn.protocols.http.h11_impl import H11Protocol

from .access import is_exposed
from .coalescing import CoalescingTransport
from .connections import Places

#: Timeout from the start of a connection, or the end of a response, to the end of the next request's head.
HEAD_TIMEOUT_S = 20.0

_NO_PLACE = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which closes idle connections, closing also those whose request does not get on.

    A connection that waits for a request, has an answer lying unread, or sends the rest of a body that nobody wants
    makes room when another one comes: see :mod:`gdws_agent.api.connections`. Bodies that are wanted have limits of
    their own: :mod:`gdws_agent.api.bodies`.
    """

    head_timeout_s = HEAD_TIMEOUT_S
    places = Places(512)
    _head_timer: Optional[asyncio.TimerHandle] = None
    _unsent_bytes = math.inf

    def connection_made(self, transport: Any) -> None:
        super().connection_made(CoalescingTransport(transport, self.loop))  # type: ignore[arg-type]
        if self.places.enter(self, is_local=self.client is None or not is_exposed(self.client[0])):
            self._reset_head_timer()
        else:
            self.transport.write(_NO_PLACE)
            self.transport.close()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._cancel_head_timer()
        self.places.leave(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        """End at once, whatever is unsent."""
        self.transport.abort()

    def handle_events(self) -> None:
        super().handle_events()
        self._reset_head_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._reset_head_timer()

    def _reset_head_timer(self) -> None:
        """Start the clock when nothing is being answered; it goes on while a head arrives in pieces."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel_head_timer()
            self.places.work(self)
        elif self._head_timer is None:
            self._unsent_bytes = math.inf
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)
            self.places.wait(self, is_known=self._is_known())

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _is_known(self) -> bool:
        """Return whether the last request on this connection was let in; the guard leaves the role in its state."""
        return self.scope is not None and self.scope.get("state", {}).get("role") is not None

    def _give_up(self) -> None:
        """Close, but let a slow client finish reading; a plain close would wait for a client that never reads."""
        self._head_timer = None
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes == 0:
            self.transport.close()
        elif unsent_bytes < self._unsent_bytes:
            self._unsent_bytes = unsent_bytes
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)
        else:
            self.transport.abort()
