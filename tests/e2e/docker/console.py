"""How the harness speaks and runs commands: one line a step, output only where something fails."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Skipped(Exception):
    """What was asked cannot be done here; the message says why."""


class Failed(Exception):
    """What was tested does not hold; the message says what was seen."""


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def last_line(text: str) -> str:
    """Return the last line of ``text`` that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    input_bytes: bytes | None = None,
    timeout_s: float = 1800.0,
) -> str:
    """Return what ``command`` printed.

    Raises:
        Failed: it ended with another status than 0; the end of its output is in the message.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=input_bytes,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(words)} took more than {timeout_s:.0f} s") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        tail = "\n".join(output.splitlines()[-40:])
        raise Failed(f"{' '.join(words)} ended with status {done.returncode}:\n{tail}")
    return output


class Step:
    """Prints what was done and how long it took; what is skipped has a line of its own elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Step:
        self._start = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None or not issubclass(kind, Skipped):
            outcome = "ok" if kind is None else "FAILED"
            say(f"{outcome:>7}  {self._title} ({time.monotonic() - self._start:.0f} s)")
