"""An agent on this machine, for as long as it is needed.

The agent runs as a child process with a distribution of its own: the host never imports it. It listens on
a free port of the loopback interface, and it ends when its standard input closes, so that it does not
outlive this process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from gdws.errors import DeviceUnreachable

AGENT_COMMAND = (sys.executable, "-m", "gdws_agent")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_TOKEN_VARIABLES = ("GDWS_TOKEN", "GDWS_AGENT_TOKEN", "GDWS_AGENT_READ_TOKEN")
_INSTALL_HINT = 'install it here with: pip install "gdws-agent[onnxruntime]"'


@contextmanager
def local_agent(
    data_dir: Path | None = None,
    *,
    command: Sequence[str] = AGENT_COMMAND,
    start_timeout_s: float = START_TIMEOUT_S,
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> Iterator[str]:
    """Start an agent, and stop it on leaving. Gives its address, e.g. ``http://127.0.0.1:41234``.

    ``data_dir`` keeps its bundles and results; a temporary folder is used if there is none.
    Raises :class:`DeviceUnreachable` with the agent's own words if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="gdws-agent-", ignore_cleanup_errors=True) as scratch:
        options = ["--host", "127.0.0.1", "--port", "0", "--announce", "--exit-with-parent"]
        options += ["--data-dir", str(data_dir or Path(scratch, "data"))]
        with Path(scratch, "log").open("w+b") as log:
            child = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                # Ctrl-C is for the host, which then cancels the job and stops the agent in order.
                start_new_session=True,
            )
            try:
                yield _announced_url(child, log, start_timeout_s)
            finally:
                _stop(child, stop_timeout_s)


def _environment() -> dict[str, str]:
    """This process's, but for tokens: an agent on loopback for one process alone asks for none."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_TOKEN_VARIABLES)}


def _announced_url(child: subprocess.Popen[bytes], log: BinaryIO, timeout_s: float) -> str:
    """The address in the line that the agent prints when it listens."""
    assert child.stdout is not None  # it was asked for as a pipe
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_relay, args=(child.stdout, lines), daemon=True).start()
    try:
        line = lines.get(timeout=timeout_s)
    except queue.Empty:
        raise _not_started(f"it did not say within {timeout_s:g} s that it listens", log) from None
    if not line:
        child.wait()
        raise _not_started(f"it ended with status {child.returncode}", log)
    try:
        url = json.loads(line)["url"]
    except (ValueError, KeyError, TypeError):
        raise _not_started(f"it announced {line[:100]!r}", log) from None
    if not isinstance(url, str):
        raise _not_started(f"it announced {line[:100]!r}", log)
    return url


def _relay(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Pass on the first line, empty at the end of the stream, and read on lest the agent block on a full pipe."""
    with stream:
        lines.put(stream.readline())
        while stream.read(65536):
            continue


def _not_started(reason: str, log: BinaryIO) -> DeviceUnreachable:
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-5:]
    message = "\n".join([f"the local agent did not start: {reason}", *said])
    return DeviceUnreachable(message, url="local", hint=_INSTALL_HINT)


def _stop(child: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Close the agent's input, which ends it; where that does not do, end it by force."""
    assert child.stdin is not None  # it was asked for as a pipe
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    if not _has_ended(child, timeout_s):
        child.terminate()
    if not _has_ended(child, timeout_s):
        child.kill()
        child.wait()


def _has_ended(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a child; whether it ended in time."""
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True
