"""A temporary agent on this machine.

The agent is a separate distribution and runs as a child process: the host never imports it. It listens on a free port
of the loopback interface, and exits when its standard input closes, so that it never outlives this process.
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

from gdws._util.openmp import as_the_user_set
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
    """Start an agent, yield its address, e.g. ``http://127.0.0.1:41234``, and stop it on exit.

    Its bundles and results are stored in ``data_dir``, or in a temporary folder. Raises :class:`DeviceUnreachable` with
    the agent's error output if it does not start.
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
    """That of this process as the user set it, without tokens: a private agent on loopback needs none."""
    mine = as_the_user_set(os.environ)
    return {name: value for name, value in mine.items() if not name.startswith(_TOKEN_VARIABLES)}


def _announced_url(child: subprocess.Popen[bytes], log: BinaryIO, timeout_s: float) -> str:
    """The address that the agent prints when it is ready."""
    assert child.stdout is not None  # it was asked for as a pipe
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_relay, args=(child.stdout, lines), daemon=True).start()
    try:
        line = lines.get(timeout=timeout_s)
    except queue.Empty:
        raise _not_started(f"it was not ready within {timeout_s:g} s", log) from None
    if not line:
        child.wait()
        raise _not_started(f"it exited with status {child.returncode}", log)
    try:
        url = json.loads(line)["url"]
    except (ValueError, KeyError, TypeError):
        raise _not_started(f"unexpected output {line[:100]!r}", log) from None
    if not isinstance(url, str):
        raise _not_started(f"unexpected output {line[:100]!r}", log)
    return url


def _relay(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Pass on the first line (empty at the end of the stream), and drain the rest so that the pipe cannot fill up."""
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
    """Close the agent's input, which makes it exit; kill it if it does not."""
    assert child.stdin is not None  # it was asked for as a pipe
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    if not _has_ended(child, timeout_s):
        child.terminate()
    if not _has_ended(child, timeout_s):
        child.kill()
        child.wait()


def _has_ended(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a child and return whether it exited in time."""
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True
