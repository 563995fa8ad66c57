"""Runs one worker process: starts it, sends its order, reads its events, supervises and ends it.

Everything about a process happens in the thread that calls :func:`run_group`. Others speak to it
through an :class:`~gdws_agent.jobs.interrupt.Interrupt` only, so there are no races on process ids.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Callable, NamedTuple, Optional, Sequence

from pydantic import ValidationError
from typing_extensions import Literal

from gdws_agent.machine import MACHINE_SHORT, is_machine_fault, tells_of_machine
from gdws_agent.measuring.messages import AttackedEvent, Event, StageEvent, WorkOrder, parse_event
from gdws_agent.requests.estimate import longest_run_ms
from gdws_agent.settings import Settings, variable_name

from .interrupt import Interrupt
from .surroundings import own_folder, worker_environment

_LOG = logging.getLogger(__name__)

#: The command of a worker, to which ``--events-fd N`` is appended.
WORKER_COMMAND = (sys.executable, "-m", "gdws_agent.measuring.worker")

#: Extra time for a runtime that ends its build itself, before the worker is killed.
_BUILD_GRACE = 1.1
_READ_BYTES = 65_536
_MAX_LINE_BYTES = 16 * 2**20
_TAIL_BYTES = 4_096
#: Interval for checking whether the worker is alive, in case a child keeps its pipe open.
_POLL_S = 1.0
#: Interval for checking its memory, if that is limited.
_MEMORY_POLL_S = 0.2


class Ending(NamedTuple):
    """How a worker ended; ``detail`` and ``hint`` are for people.

    Two kinds say nothing about what was to be measured: ``unstarted``, the machine had no room for a worker, and
    ``machine-short``, the worker itself lacked something that is the machine's.
    """

    kind: Literal["completed", "interrupted", "unstarted", "machine-short", "crashed", "hung", "garbled", "oversized"]
    detail: str = ""
    hint: Optional[str] = None

    @property
    def code(self) -> str:
        """The code of the problem that it is to a cell, or to the job."""
        if self.kind in ("unstarted", "machine-short"):
            return MACHINE_SHORT
        return "memory-limit-exceeded" if self.kind == "oversized" else f"worker-{self.kind}"


def run_group(
    command: Sequence[str],
    order: WorkOrder,
    settings: Settings,
    interrupt: Interrupt,
    on_event: Callable[[Event], None],
) -> Ending:
    """Run a worker on ``order`` until it and all its children have ended, and return how it ended.

    ``on_event`` is called for each event. A worker that sent a cell for every variant has completed, even if it
    fails on its way out: the results are there.
    """
    with contextlib.ExitStack() as stack:
        try:
            # All that the agent needs for it, so that what is lacking is found before anything is begun.
            selector = stack.enter_context(selectors.DefaultSelector())
            interrupted = stack.enter_context(interrupt.descriptor())
            folder = stack.enter_context(own_folder(settings.data_dir))
            worker = stack.enter_context(contextlib.closing(_Worker(command, order, settings, folder)))
        except OSError as error:
            kind: Literal["unstarted", "crashed"] = "unstarted" if is_machine_fault(error) else "crashed"
            return Ending(kind, f"the worker could not be started: {error}")
        selector.register(interrupted, selectors.EVENT_READ, "interrupt")
        return _Conversation(worker, order, settings, interrupt, on_event).run(selector)


class _Worker:
    """The process with its pipes, in its own session, so that all its children can be ended with it."""

    def __init__(self, command: Sequence[str], order: WorkOrder, settings: Settings, folder: Path) -> None:
        environment = worker_environment(os.environ, folder, Path(order.cache_dir))
        self._grace_s = settings.cancel_grace_s
        self.events, events_writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, "--events-fd", str(events_writer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(events_writer,),
                env={**environment, variable_name("jtop_socket"): str(settings.jtop_socket)},
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            os.close(self.events)
            raise
        finally:
            os.close(events_writer)
        _prefer_in_out_of_memory(self._process.pid)
        _LOG.debug("worker %d started", self._process.pid)
        with contextlib.suppress(BrokenPipeError):  # it died already, and its end will be seen
            self._stdin.write(order.model_dump_json().encode() + b"\n")

    @property
    def output(self) -> int:
        """The descriptor of its output."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def private_mib(self) -> float:
        """Return how much private memory the process takes, in MiB; 0 when it has ended, or is not on Linux."""
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{self._process.pid}/status", "rb") as status:
            for line in status:
                if line.startswith(b"RssAnon:"):
                    return int(line.split()[1]) / 1_024
        return 0.0

    def end(self) -> None:
        """Terminate the process and its children, gracefully at first."""
        if self.is_alive():
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._grace_s)
        self.kill()

    def kill(self) -> int:
        """Kill the process and its children, and return the exit status."""
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def wait(self) -> Optional[int]:
        """Wait for the process to exit and return its exit status, or None if it had to be killed."""
        try:
            return self._process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def close(self) -> None:
        self.kill()
        os.close(self.events)
        self._stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _signal(self, number: int) -> None:
        # The id of a process group stays taken while any member lives, so this reaches ours or nobody.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class _Conversation:
    """The communication with one worker until it ends."""

    def __init__(
        self,
        worker: _Worker,
        order: WorkOrder,
        settings: Settings,
        interrupt: Interrupt,
        on_event: Callable[[Event], None],
    ) -> None:
        self._worker = worker
        self._interrupt = interrupt
        self._settings = settings
        self._order = order
        self._on_event = on_event
        self._missing = set(order.variants)
        self._line = bytearray()
        self._tail = bytearray()
        self._stage = "load"

    def run(self, selector: selectors.BaseSelector) -> Ending:
        """Read events until the worker ends; ``selector`` already has the interrupt."""
        selector.register(self._worker.events, selectors.EVENT_READ, "events")
        selector.register(self._worker.output, selectors.EVENT_READ, "output")
        deadline = time.monotonic() + self._silence_limit_s()
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            ready = {key.data for key, _ in selector.select(min(self._poll_s(), left_s, self._interrupt.left_s()))}
            if "output" in ready and not self._read_output():
                selector.unregister(self._worker.output)
            if "events" in ready:
                data = os.read(self._worker.events, _READ_BYTES)
                try:
                    self._take(data)
                except ValueError as error:
                    self._worker.end()
                    return Ending("garbled", f"the worker broke its protocol: {error}")
                if not self._missing:
                    return self._completed()
                if not data:
                    return self._fell_silent()
                deadline = time.monotonic() + self._silence_limit_s()
            if self._interrupt.reason is not None:
                self._worker.end()
                return Ending("interrupted")
            if self._takes_too_much():
                return self._oversized()
            if not ready and not self._worker.is_alive():
                return self._crashed(self._worker.kill())
            if time.monotonic() >= deadline:
                return self._hung()

    def _take(self, data: bytes) -> None:
        """Pass on the events in ``data``; raises ValueError for what is none, or not of this order."""
        self._line += data
        *lines, rest = bytes(self._line).split(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            raise ValueError("a line without end")
        self._line = bytearray(rest)
        for line in lines:
            self._take_event(_parse(line))

    def _take_event(self, event: Event) -> None:
        if isinstance(event, StageEvent):
            self._stage = event.stage
        elif isinstance(event, AttackedEvent):
            if event.variant not in self._missing:
                raise ValueError(f"images of an attack that was not asked for: {event.variant}")
        else:
            variant = event.cell.key.variant
            if variant not in self._missing or event.cell.key != self._order.cell(variant):
                raise ValueError(f"a cell that was not asked for: {event.cell.key}")
            self._missing.remove(variant)
        self._on_event(event)

    def _silence_limit_s(self) -> float:
        """Return how long the worker may be silent in its stage: the builds of one variant, or one window."""
        if self._stage == "load":
            return self._settings.build_timeout_s
        if self._stage == "build":
            engine = self._order.engine
            builds = engine.builds * (2 if engine.batch_profile == "measured" else 1)
            return min(self._settings.build_timeout_s, engine.build_timeout_s) * builds * _BUILD_GRACE
        p = self._order.protocol
        paced_ms = longest_run_ms(self._order.pacing)
        longest_ms = max(p.warmup_max_ms, p.min_duration_ms, p.idle_ms, paced_ms, p.sustained_ms)
        return self._settings.silence_timeout_s + longest_ms / 1_000

    def _poll_s(self) -> float:
        return _POLL_S if self._order.memory_limit_mib is None else _MEMORY_POLL_S

    def _takes_too_much(self) -> bool:
        limit_mib = self._order.memory_limit_mib
        return limit_mib is not None and self._worker.private_mib() > limit_mib

    def _oversized(self) -> Ending:
        self._worker.kill()
        return Ending(
            "oversized",
            f"the worker was killed because it used more than {self._order.memory_limit_mib} MiB of private memory "
            f"during stage '{self._stage}'",
            "use a smaller batch, or allow more: limits.memory_mib of the request, --max-memory-mib of the agent",
        )

    def _read_output(self) -> bool:
        """Keep the last output of the worker; returns False at the end of the output."""
        data = os.read(self._worker.output, _READ_BYTES)
        self._tail += data
        del self._tail[:-_TAIL_BYTES]
        return bool(data)

    def _completed(self) -> Ending:
        status = self._worker.wait()
        if status != 0:
            _LOG.warning("the worker %s after its last result%s", _status_in_words(status), self._said())
        return Ending("completed")

    def _fell_silent(self) -> Ending:
        status = self._worker.wait()
        if status is None:
            return Ending("garbled", f"the worker closed its events before it was done{self._said()}")
        return self._crashed(status)

    def _crashed(self, status: int) -> Ending:
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self._worker.output, False)
            while self._read_output():
                pass
        detail = f"the worker {_status_in_words(status)} during stage '{self._stage}'{self._said()}"
        if tells_of_machine(self._said()):
            return Ending("machine-short", detail)
        if status == -signal.SIGKILL:
            return Ending(
                "crashed",
                detail + "; most likely the system ran out of memory",
                "use a smaller batch or fewer variants, or free memory",
            )
        return Ending("crashed", detail, "measure this variant alone to see whether it is the cause")

    def _hung(self) -> Ending:
        limit_s = self._silence_limit_s()
        self._worker.end()
        return Ending(
            "hung",
            f"the worker was ended after {limit_s:g} s of silence during stage '{self._stage}'{self._said()}",
            "engine.build_timeout_s of the request sets the limit, and --build-timeout-s and --silence-timeout-s of "
            "the agent",
        )

    def _said(self) -> str:
        """Return the last line that the worker printed, as the end of a sentence."""
        lines = [line.strip() for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        return f"; its last words: {lines[-1][:300]}" if lines else ""


def _parse(line: bytes) -> Event:
    try:
        return parse_event(line)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{line[:100]!r}: {fault['msg']}") from error


def _status_in_words(status: Optional[int]) -> str:
    if status is None:
        return "did not exit"
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _prefer_in_out_of_memory(process_id: int) -> None:
    """Make the kernel kill the worker rather than the agent when memory runs out. Linux only, best effort."""
    with contextlib.suppress(OSError), open(f"/proc/{process_id}/oom_score_adj", "w") as file:
        file.write("1000")
