"""A real agent process on a free loopback port. Runs on Python 3.8."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import httpx

from support.agents import PATIENCE_S

_LAUNCH = (
    "import json, sys; from gdws_agent.__main__ import main;"
    "sys.exit(main(sys.argv[2:], worker_command=json.loads(sys.argv[1])))"
)


def launch(
    data_dir: Path,
    worker: WorkerCommand | None,
    options: Sequence[str],
    log: IO[bytes],
    environment: Mapping[str, str] = {},
    descriptors: int | None = None,
    prelude: str = "",
) -> subprocess.Popen[bytes]:
    """Start the process without waiting for it; its standard error goes to ``log``.

    It may open so many ``descriptors``, as many as this process by default. ``prelude`` is code that it runs first.
    """

    def limit() -> None:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    command = [sys.executable, "-c", f"{prelude}\n{_LAUNCH}", json.dumps(None if worker is None else worker.command)]
    return subprocess.Popen(
        [*command, "--port=0", f"--data-dir={data_dir}", "--announce", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        preexec_fn=limit,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("GDWS_AGENT_")},
            **environment,
        },
    )


class WorkerCommand(Protocol):
    """What starts a worker."""

    @property
    def command(self) -> Sequence[str]: ...


class AgentProcess:
    """The process, a client for it, and what it wrote to standard error."""

    def __init__(
        self,
        data_dir: Path,
        worker: WorkerCommand | None = None,
        *options: str,
        environment: Mapping[str, str] = {},
        descriptors: int | None = None,
        prelude: str = "",
    ) -> None:
        self.log = data_dir.with_name(data_dir.name + ".log")
        with open(self.log, "ab") as log:
            self.process = launch(data_dir, worker, options, log, environment, descriptors, prelude)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.url: str = json.loads(line)["url"]
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    def get(self, path: str, **options: Any) -> Any:
        """Return the JSON that ``GET path`` answers."""
        return self.client.get(path, **options).raise_for_status().json()

    def wait(self) -> int:
        """Return the exit status."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End the process if it still runs."""
        self.client.close()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def running_agent(
    data_dir: Path,
    worker: WorkerCommand | None = None,
    *options: str,
    environment: Mapping[str, str] = {},
    descriptors: int | None = None,
    prelude: str = "",
) -> Iterator[AgentProcess]:
    """An agent that serves within the context; it may be ended before its end.

    Of this process's ``GDWS_AGENT_*`` variables it sees none; ``environment`` is added to the others.
    """
    agent = AgentProcess(data_dir, worker, *options, environment=environment, descriptors=descriptors, prelude=prelude)
    try:
        yield agent
    finally:
        agent.close()
