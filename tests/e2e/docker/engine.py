"""A Docker engine to test with: the one that runs, or one started for the test alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console import Failed, Skipped, Step, last_line, run, say

#: Program -> package of Debian and Ubuntu that has it.
PROGRAMS = {"dockerd": "docker.io", "docker-compose": "docker-compose", "iptables": "iptables"}


@dataclass(frozen=True)
class Engine:
    """How to reach the engine: the commands and the environment they need."""

    docker: str
    compose: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, input_bytes: bytes | None = None) -> str:
        """Run ``docker`` with ``arguments`` and return what it printed."""
        return run([self.docker, *arguments], environment=self.environment, input_bytes=input_bytes)

    def process_environment(self) -> dict[str, str]:
        """Return the environment for a process that talks to the engine."""
        return {**os.environ, **self.environment}

    def has_runtime(self, name: str) -> bool:
        """Return whether the engine knows an OCI runtime of that name."""
        return name in json.loads(self("info", "--format", "{{json .Runtimes}}"))


@contextlib.contextmanager
def open_engine(work: Path) -> Iterator[Engine]:
    """Yield an engine; one that was started here ends with the context, and its images with it.

    Raises:
        Skipped: none runs and none can be started.
    """
    if shutil.which("docker") and _answers("docker", {}):
        say("         using the Docker engine that runs here")
        yield Engine("docker", _find_compose({}))
        return
    if os.geteuid() != 0:
        raise Skipped("no Docker engine runs here, and starting one needs root")
    install_packages(PROGRAMS)
    with _start(work) as environment:
        yield Engine(_local_client(), _find_compose(environment), environment)


def install_packages(programs: Mapping[str, str]) -> None:
    """Install the packages, program -> package, whose programs are not here yet.

    Raises:
        Skipped: this user or this system cannot.
    """
    missing = [package for program, package in programs.items() if not shutil.which(program)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Skipped(f"{', '.join(missing)} must be installed, which needs root")
    if not shutil.which("apt-get"):
        raise Skipped(f"{', '.join(missing)} must be installed, which is known here for Debian and Ubuntu alone")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with Step(f"install {', '.join(missing)}"):
        try:
            run(["apt-get", "update", "-qq"], environment=quiet)
            run(["apt-get", "install", "-qq", "--no-install-recommends", *missing], environment=quiet)
        except Failed as error:
            raise Skipped(f"{', '.join(missing)} cannot be installed: {last_line(str(error))}") from error


@contextlib.contextmanager
def _start(work: Path) -> Iterator[dict[str, str]]:
    """Start an engine with its data below ``work``; it knows a runtime "nvidia", which is plain runc."""
    runc = shutil.which("runc")
    if runc is None:
        raise Skipped("runc, which a Docker engine needs, is not installed")
    socket = f"unix://{work}/docker.sock"
    command = ["dockerd", "--data-root", f"{work}/data", "--exec-root", f"{work}/exec", "--pidfile", f"{work}/pid"]
    command += ["--host", socket, "--add-runtime", f"nvidia={runc}"]
    environment = {"DOCKER_HOST": socket}
    with (work / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        with Step("start a Docker engine"):
            deadline = time.monotonic() + 60
            while not _answers(_local_client(), environment):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise Skipped(f"no Docker engine starts here: {last_line((work / 'dockerd.log').read_text())}")
                time.sleep(0.5)
        yield environment
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(timeout=60)
        except subprocess.TimeoutExpired:
            daemon.kill()


def _local_client() -> str:
    """Return the client of the distribution, which fits its engine, where there are several."""
    return "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else "docker"


def _answers(docker: str, environment: dict[str, str]) -> bool:
    try:
        run([docker, "info", "--format", "{{.ServerVersion}}"], environment=environment, timeout_s=20)
    except (Failed, OSError):
        return False
    return True


def _find_compose(environment: dict[str, str]) -> tuple[str, ...]:
    for command in (("docker", "compose"), ("docker-compose",)):
        with contextlib.suppress(Failed, OSError):
            run([*command, "version"], environment=environment, timeout_s=20)
            return command
    raise Skipped("neither `docker compose` nor `docker-compose` is installed")
