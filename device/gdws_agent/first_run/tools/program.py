"""Running a program to its end, and never beyond its timeout or the end of this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from gdws_agent.first_run.deadline import Deadline
from gdws_agent.first_run.report import CheckFailed

_TAIL_LINES = 12


class Finished(NamedTuple):
    """A program's exit status, and what it printed to both of its streams."""

    status: int
    output: str

    def tail(self) -> List[str]:
        """Return the last lines of the output."""
        return [line.rstrip() for line in self.output.splitlines() if line.strip()][-_TAIL_LINES:]


def run_program(command: Sequence[str], deadline: Deadline) -> Finished:
    """Run ``command`` and return how it ended. It leads a session of its own, and ends with this call.

    Raises:
        CheckFailed: it cannot be started, or is not done in time.
    """
    process = start_program(command)
    try:
        output, _ = process.communicate(timeout=deadline.left_s)
    except subprocess.TimeoutExpired:
        end_session(process)
        output, _ = process.communicate()
        raise CheckFailed(
            f"{Path(command[0]).name} was not done within the {deadline.limit_s:g} s of this check",
            "run it by hand, with the arguments in the report, to see where it stays",
            log=[" ".join(command), *Finished(0, output.decode("utf-8", "replace")).tail()],
        ) from None
    finally:
        end_session(process)
    return Finished(process.returncode, output.decode("utf-8", "replace"))


def start_program(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ``command`` in its own session, with stderr merged into stdout. Raises CheckFailed."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CheckFailed(
            f"{Path(command[0]).name} cannot be started: {error.strerror}", f"make {command[0]} a program"
        ) from error


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill ``process`` and its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_program(name: str, given: Optional[Path], places: Sequence[str] = ()) -> Optional[Path]:
    """Return the program that is ``given``, else the one on the PATH, else the first of ``places``; or None."""
    if given is not None:
        return given
    found = shutil.which(name) or next((place for place in places if os.access(place, os.X_OK)), None)
    return None if found is None else Path(found)
