"""Waiting for a bounded time without losing a cancellation."""

from __future__ import annotations

import asyncio
from typing import Awaitable, TypeVar

_Found = TypeVar("_Found")


async def within(awaitable: Awaitable[_Found], timeout_s: float) -> _Found:
    """Return what ``awaitable`` gives if it does so in time, else cancel it.

    As ``asyncio.wait_for``, which before Python 3.12 drops a cancellation that comes together with the result: whoever
    cancelled then waits for a task that goes on.

    Raises:
        asyncio.TimeoutError: it took longer than ``timeout_s``.
    """
    waited = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({waited}, timeout=timeout_s)
        if not waited.done():
            raise asyncio.TimeoutError
        return waited.result()
    finally:
        waited.cancel()
