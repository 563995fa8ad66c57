"""A first run in a container, by the line that docs/first-run.md has."""

from __future__ import annotations

import json
from typing import Protocol

COMMAND = ("/opt/gdws/bin/python3", "/opt/gdws-setup/entrypoint.py", "first-run")
REPORT = "/var/lib/gdws-agent/first-run/first-run.json"


class Container(Protocol):
    """An agent that is up."""

    service: str

    def compose(self, *arguments: str) -> str:
        """Run the compose command and return what it printed; an exit code other than 0 raises."""


def first_run(agent: Container, *checks: str) -> dict[str, str]:
    """Run these checks, none of which may fail, and return check -> status."""
    enter = ["exec", "-T", agent.service]
    agent.compose(*enter, *COMMAND, "--quick", "--only", ",".join(checks))
    document = agent.compose(*enter, "cat", REPORT)
    return {check["name"]: check["status"] for check in json.loads(document)["checks"]}
