"""The agent's own worker, which also records each cell that it measured: ``recording_worker.py LOG --events-fd N``.

A line of LOG is the time in seconds since the epoch, the job and the cell. Runs on Python 3.8.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Callable

from gdws_agent.measuring import worker
from gdws_agent.measuring.messages import CellEvent, Event, WorkOrder


def main() -> int:
    """Run one order and return the exit status."""
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)  # before the worker gives up its rights
    measure = worker.measure

    def recorded(order: WorkOrder, emit: Callable[[Event], None], *rest: Any) -> None:
        def emit_and_record(event: Event) -> None:
            if isinstance(event, CellEvent):
                entry = {"at_s": time.time(), "job": order.job_id, "cell": event.cell.key.model_dump(mode="json")}
                os.write(log, json.dumps(entry).encode() + b"\n")
            emit(event)

        measure(order, emit_and_record, *rest)

    worker.measure = recorded
    return worker.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
