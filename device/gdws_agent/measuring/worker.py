"""The measuring process: one order in, events out.

::

    TMPDIR=folder python -m gdws_agent.measuring.worker --events-fd N  <  order

Reads one :class:`~gdws_agent.measuring.messages.WorkOrder` line from standard input and writes events to descriptor N.
Standard output is joined to standard error, so that whatever an SDK prints cannot be mistaken for an event. When
standard input ends, the agent is gone, and so is this process. Before it opens the bundle it gives up what it does not
need, see :mod:`~gdws_agent.measuring.confinement`; what measures is loaded after that, for it starts threads.

Exit status: 0 every cell of the order ended and was told; 2 the command line or the order cannot be read;
3 the agent is gone; 4 the machine lacks something that no network is to blame for, which is said on standard error.
Anything else is a crash.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import sys
import threading
from contextlib import ExitStack
from typing import Callable, List, NoReturn, Optional

import psutil
from pydantic import ValidationError

from gdws_agent.backends import registry as backends
from gdws_agent.machine import MachineShort, is_machine_fault
from gdws_agent.power import registry as power
from gdws_agent.timestamps import utc_now
from gdws_contract.archive import open_bundle

from .confinement import confine
from .memory import PeakGauge
from .messages import CellEvent, Event, WorkOrder

EXIT_UNREADABLE = 2
EXIT_AGENT_GONE = 3
EXIT_MACHINE_SHORT = 4

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_MAX_ORDER_BYTES = 16 * 2**20


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one order and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gdws_agent.measuring.worker", description="Measures one group of cells."
    )
    parser.add_argument("--events-fd", type=int, required=True, metavar="N", help="open descriptor to write events to")
    events_fd = parser.parse_args(arguments).events_fd
    _take_over_descriptors(events_fd, parser.error)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the agent decides
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        order = WorkOrder.model_validate_json(_read_line())
    except ValidationError as error:
        print(f"the order cannot be read: {error}", file=sys.stderr)
        return EXIT_UNREADABLE
    gauge = PeakGauge()
    confine(order)
    threading.Thread(target=_exit_with_agent, name="agent-monitor", daemon=True).start()
    _limit_memory()
    try:
        measure(order, lambda event: _write_all(events_fd, event.model_dump_json().encode() + b"\n"), gauge)
    except BrokenPipeError:
        return EXIT_AGENT_GONE
    except MachineShort as error:
        print(error, file=sys.stderr)
        return EXIT_MACHINE_SHORT
    return 0


def measure(order: WorkOrder, emit: Callable[[Event], None], gauge: Optional[PeakGauge] = None) -> None:
    """Measure ``order``; when it cannot even begin, every cell of it fails with the reason.

    ``gauge`` reads the memory of this process; it must have been made before the process was confined.

    Raises:
        MachineShort: the machine lacks something; cells that were not told of are not to blame.
    """
    from .results import Findings, failed_cell
    from .sweep import Sweep

    with ExitStack() as stack:
        try:
            backend = backends.get(order.backend)
            sensor = power.get(order.power_sensor)
            bundle = stack.enter_context(open_bundle(order.bundle_path))
        except Exception as error:
            if is_machine_fault(error):
                raise MachineShort(str(error)) from error
            for variant in order.variants:
                findings = Findings.begin(order, variant, environment={})
                emit(CellEvent(cell=failed_cell(findings, error, utc_now())))
            return
        Sweep(order, bundle, backend, sensor, emit, gauge).run()


def _take_over_descriptors(events_fd: int, refuse: Callable[[str], NoReturn]) -> None:
    """Separate the event stream from everything that is printed."""
    if events_fd <= _STDERR:
        refuse("--events-fd must not be a standard stream")
    try:
        os.set_inheritable(events_fd, False)
    except OSError as error:
        refuse(f"--events-fd {events_fd} is not open: {error}")
    os.dup2(_STDERR, _STDOUT)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read_line() -> bytes:
    """Return the first line of standard input, unbuffered: the rest is for the thread that waits for its end."""
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _MAX_ORDER_BYTES:
        byte = os.read(_STDIN, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def _exit_with_agent() -> None:
    """Wait for the end of standard input, then end this process immediately."""
    while os.read(_STDIN, 4096):
        pass
    os._exit(EXIT_AGENT_GONE)


def _limit_memory() -> None:
    """Make allocations beyond the free memory fail in this process with a proper error.

    Linux grants more than there is, and then kills a process that uses it. Counted is private writable memory
    alone: address space that CUDA reserves, and memory that it shares with the GPU, should not be. Each cell tells both
    figures, for how a board's driver maps its memory has not been seen.
    """
    if sys.platform != "linux":
        return
    used = psutil.Process().memory_info().data
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used + psutil.virtual_memory().available
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


if __name__ == "__main__":
    sys.exit(main())
