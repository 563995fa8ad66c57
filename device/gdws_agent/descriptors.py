"""File descriptors: the number of connections that this process can serve, and a reserve for its own work.

A process that runs out of them can start no worker and store no result. So connections, which anybody can open, get
what is left when the agent has its share.
"""

from __future__ import annotations

import contextlib
import os
import resource

#: For the database, the worker's pipes, sensors, the log, and what libraries open.
RESERVE = 256
#: Descriptors of a connection: its socket, and the file of an upload.
PER_CONNECTION = 2
MAX_CONNECTIONS = 512
_MIN_CONNECTIONS = 16
#: More than probing backends and sensors opens at once.
SPARE = 16


def connection_limit() -> int:
    """Return how many connections to allow; raises the process's soft limit of descriptors if necessary."""
    return affordable(_raised(RESERVE + PER_CONNECTION * MAX_CONNECTIONS))


def affordable(descriptors: int) -> int:
    """Return how many connections leave :data:`RESERVE` of this many ``descriptors``."""
    return max(_MIN_CONNECTIONS, min(MAX_CONNECTIONS, (descriptors - RESERVE) // PER_CONNECTION))


def require_spare(count: int = SPARE) -> None:
    """Check that this process can open this many more.

    Raises:
        OSError: it cannot.
    """
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(open(os.devnull, "rb"))


def _raised(wanted: int) -> int:
    """Raise the soft limit to ``wanted``, or as close as the hard limit allows, and return it.

    Not further: workers inherit it, and some programs close, or select on, every descriptor that there could be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    within = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= within:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (within, hard))
    except (OSError, ValueError):  # a sandbox may forbid it
        return soft
    return within
