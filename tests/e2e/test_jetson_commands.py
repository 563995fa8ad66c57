"""docs/jetson.md's commands work with the user and the capabilities that they have in the agent's container.

Here without Docker; tests/e2e/docker runs the same lines in the containers themselves.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.pages import agent_lines, script

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed here")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "jetson.md"
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["agent"]
#: The image's user and the folder that its volume is mounted at.
IMAGE_USER = {"gdws": 10001}
VOLUME = "/var/lib/gdws-agent"
TOKEN = "gdws_0123456789"
#: What starts the image becomes the agent's user, whoever enters: see docker/entrypoint.py.
ENTRY_POINT = ("/opt/gdws/bin/python3", "/opt/gdws-setup/entrypoint.py")
AS_USER = r"docker compose exec (-T )?-u gdws "
BY_ENTRY_POINT = rf"docker compose exec (-T )?agent {re.escape(' '.join(ENTRY_POINT))} "


def exec_lines() -> list[str]:
    return [line for line in agent_lines(PAGE) if "docker compose exec" in line]


def test_the_page_has_the_lines_that_are_tested() -> None:
    assert len(exec_lines()) >= 2
    assert any("data/token" in line for line in exec_lines())
    assert {line.split()[0] for line in agent_lines(PAGE)} == {"docker", "export", "curl"}


def as_in_the_container(user: str) -> list[str]:
    """Return the start of a command that runs as ``user`` with the capabilities of the service ``agent``."""
    number = IMAGE_USER.get(user) or int(user.partition(":")[0])
    assert SERVICE["cap_drop"] == ["ALL"]
    kept = [f"+{name.lower()}" for name in SERVICE["cap_add"]] if number == 0 else []
    bounds = ",".join(["-all", *kept])
    identity = [f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    return ["setpriv", *identity, "--inh-caps=-all", f"--bounding-set={bounds}"]


def compose_stand_in(folder: Path) -> Path:
    """Return a program that takes the arguments of ``docker compose`` and runs ``exec`` as a container would."""
    users = {user: as_in_the_container(user) for user in (*IMAGE_USER, SERVICE["user"])}
    program = folder / "compose"
    program.write_text(
        f"#!{sys.executable}\n"
        "import argparse, os, sys\n"
        f"users, volume, folder = {users!r}, {VOLUME!r}, {str(folder)!r}\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('verb', choices=['exec'])\n"
        "parser.add_argument('-T', action='store_true')\n"
        f"parser.add_argument('-u', default={SERVICE['user']!r})\n"
        "parser.add_argument('service', choices=['agent'])\n"
        "parser.add_argument('command', nargs=argparse.REMAINDER)\n"
        "asked = parser.parse_args()\n"
        "command = users[asked.u] + [word.replace(volume, folder) for word in asked.command]\n"
        "os.execvp(command[0], command)\n"
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """The container's volume with a token in it, as an agent leaves it: closed to everybody else."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root with setpriv can play another user without capabilities")
    token = tmp_path / "data" / "token"
    token.parent.mkdir()
    token.write_text(f"{TOKEN}\n")
    for path in (token, token.parent):
        os.chown(path, IMAGE_USER["gdws"], IMAGE_USER["gdws"])
    token.chmod(0o600)
    for folder in (token.parent, *token.parents):
        if str(folder).startswith("/tmp/") and folder.stat().st_uid == 0:
            folder.chmod(0o755)
    return tmp_path


def run(container: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    text = script(
        [*lines, 'echo "$GDWS_TOKEN"'],
        compose=shlex.quote(str(compose_stand_in(container))),
        service="agent",
        address="http://localhost:1",
    )
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60)


def test_the_token_is_read_as_the_page_says(container: Path) -> None:
    done = run(container, [line for line in exec_lines() if "data/token" in line])
    assert (done.stdout, done.stderr) == (f"{TOKEN}\n", "")


def test_root_without_capabilities_is_refused_here_as_in_the_container(container: Path) -> None:
    line = f"export GDWS_TOKEN=$(docker compose exec -T agent cat {VOLUME}/data/token)"
    done = run(container, [line])
    assert done.stdout.strip() == ""
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda page: page.name
)
def test_whoever_enters_the_container_does_so_as_the_agents_user(page: Path) -> None:
    """Its root has no right to the agent's files: the line names the user, or has the entry point become it."""
    lines = re.findall(r"docker compose exec[^\n`]*", page.read_text())
    assert [line for line in lines if not re.match(AS_USER, line) and not re.match(BY_ENTRY_POINT, line)] == []


def test_the_entry_point_of_that_line_is_the_image_s() -> None:
    dockerfile = (ROOT / "docker" / "agent.jetson.Dockerfile").read_text()
    (entry_point,) = re.findall(r"^ENTRYPOINT (.*)$", dockerfile, flags=re.MULTILINE)
    assert tuple(json.loads(entry_point)) == ENTRY_POINT
