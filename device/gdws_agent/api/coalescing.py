"""Coalesces writes to a connection, so that head and body of a response are sent together.

Written one by one, each is a system call, and wakes a client on this machine twice for one answer. Both take time
from what is being measured. Large answers go out as they are written, so that their writer waits for a slow reader.
"""

from __future__ import annotations

import asyncio
from typing import Any, List

#: asyncio's default high-water mark.
MAX_HELD_BYTES = 65_536


class CoalescingTransport:
    """A transport that holds back the little that is written until the event loop's next turn, else is ``inner``."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._held: List[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Write ``data`` soon, with what else is written until then."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MAX_HELD_BYTES:
            self._flush()

    def close(self) -> None:
        """Close the connection behind all that was written."""
        self._flush()
        self._inner.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over, with all that was written out of the way."""
        self._flush()
        self._inner.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held:
            self._inner.write(b"".join(held))
