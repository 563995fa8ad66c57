"""The messages of DBOS, on standard error as it is now rather than as it was when DBOS was first used."""

from __future__ import annotations

import logging
import sys


class _StandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(f"dbos: {record.getMessage()}", file=sys.stderr, flush=True)


def show_errors() -> None:
    """Show the errors of DBOS and nothing else of it. A handler of ours keeps it from adding its own."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        logger.handlers[:] = [_StandardError()]
    logger.propagate = False
    logger.setLevel(logging.ERROR)
