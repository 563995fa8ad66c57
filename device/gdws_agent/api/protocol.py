"""HTTP connections that do not wait for ever for the head of a request."""

from __future__ import annotations

import asyncio
from typing import Any, Optional

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .gathering import GatheringTransport

#: From the beginning of a connection, or of a further request on it, to the end of the request's head.
HEAD_TIMEOUT_S = 20.0


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which closes idle connections, closing also those whose request does not get on.

    Bodies have limits of their own: :mod:`gdws_agent.planning.limits`.
    """

    head_timeout_s = HEAD_TIMEOUT_S
    _head_timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(GatheringTransport(transport, self.loop))  # type: ignore[arg-type]
        self._watch_head()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._unwatch_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def _watch_head(self) -> None:
        """Start the clock where the head of a request is awaited; it goes on while the head arrives in pieces."""
        if self.conn.their_state is not h11.IDLE:
            self._unwatch_head()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if self.conn.their_state is h11.IDLE and not is_answering:
            self.transport.close()
