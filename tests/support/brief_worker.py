"""The agent's own worker with a brief warm-up, for tests that judge no times closely; a worker command for an agent.

On a busy machine times are not steady, and each network would be run for five seconds before it is measured.
"""

from __future__ import annotations

import sys
from typing import Any

from gdws_agent.measuring import sweep, worker

_MAX_MS = 50.0


class BriefWorker:
    """A worker for tests that need some times rather than steady ones."""

    command = (sys.executable, __file__)


def _shorten() -> None:
    warm_up = sweep.warm_up

    def brief(step: Any, *, min_ms: float, max_ms: float, **options: Any) -> Any:
        return warm_up(step, min_ms=min(min_ms, _MAX_MS), max_ms=min(max_ms, _MAX_MS), **options)

    sweep.warm_up = brief


if __name__ == "__main__":
    _shorten()
    sys.exit(worker.main())
