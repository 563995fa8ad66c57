"""Delays SIGINT and SIGTERM during critical sections."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """The first SIGINT or SIGTERM within the block raises KeyboardInterrupt at its end, a second one immediately.

    For short work that is to be done whole, and for code of others that turns a KeyboardInterrupt into an error of
    its own, as pydantic does when it serializes. Signals come to the main thread only: elsewhere nothing is held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, frame: object) -> None:
        if came:  # whoever asks twice does not want to wait
            raise KeyboardInterrupt
        came.append(number)

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in former.items():
        if callable(handler):  # a signal that is ignored, or ends the process, goes on doing that
            signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in former.items():
            if callable(handler):
                signal.signal(number, handler)
        if came:
            raise KeyboardInterrupt
