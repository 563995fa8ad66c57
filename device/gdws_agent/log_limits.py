"""A rate limit on log lines that clients can cause, so that they cannot fill the disk.

Most of what answers requests, or refuses them, happens before anybody has shown a token. Of each kind of line from
there a few are written, then one in a while, and the others are counted: the count follows in a line of its own.
"""

from __future__ import annotations

import logging
import time
from typing import Callable, Dict, List, Optional, TextIO

from gdws_agent.rate_limiter import RateLimiter

BURST = 50
REFILL_S = 10.0
_MAX_KINDS = 256
#: Loggers whose lines are caused by clients: the REST interface, and the libraries below it.
_LIMITED = ("gdws_agent.access", "gdws_agent.api", "uvicorn", "asyncio", "python_multipart")
_OWN = "gdws_agent."


class BoundedHandler(logging.StreamHandler):  # type: ignore[type-arg]  # none at runtime in Python 3.8
    """Writes lines to a stream, with a rate limit on those that clients can cause.

    The kind of a line is its logger, level and ``extra={"kind": ...}`` or else its message before arguments are put in.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        burst: int = BURST,
        refill_s: float = REFILL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._allowance = RateLimiter(burst, refill_s, _MAX_KINDS, clock)
        self._left_out: Dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` unless its kind exceeds the rate limit; called under the handler's lock."""
        for note in self._notes():
            super().emit(note)
        kind = _kind(record)
        if kind is None or self._allowance.take(kind) == 0.0:
            super().emit(record)
        elif kind in self._left_out or len(self._left_out) < _MAX_KINDS:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1

    def _notes(self) -> List[logging.LogRecord]:
        """Return a line for each kind with suppressed lines, once the next of the kind may be written."""
        due = [kind for kind in self._left_out if self._allowance.has(kind)]
        return [_note(kind, self._left_out.pop(kind)) for kind in due]


def _kind(record: logging.LogRecord) -> Optional[str]:
    """Return the kind of a line; None for one that is not limited."""
    if not any(record.name == name or record.name.startswith(f"{name}.") for name in _LIMITED):
        return None
    # Libraries put what varies into the message itself.
    words = getattr(record, "kind", record.msg) if record.name.startswith(_OWN) else "..."
    return f"{record.name} {record.levelname.lower()}: {str(words)[:200]}"


def _note(kind: str, count: int) -> logging.LogRecord:
    words = "%d more lines were left out of the kind '%s'"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, words, (count, kind), None)
