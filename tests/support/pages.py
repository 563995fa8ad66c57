"""The lines of a page of the documentation that a reader pastes into a shell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

#: Lines about an agent that is up already. What installs, builds, or is for another machine is left out.
_ABOUT_AN_AGENT = re.compile(r"docker compose (exec|logs)|^curl ")


def shell_lines(page: Path) -> list[str]:
    """Return the commands of the blocks marked ``sh``, without the comments behind them."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    lines = (re.sub(r"\s{2,}#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def agent_lines(page: Path) -> list[str]:
    """Return those commands that ask an agent in a container, in order."""
    return [line for line in shell_lines(page) if _ABOUT_AN_AGENT.search(line)]


def script(lines: Iterable[str], *, compose: str, service: str, address: str) -> str:
    """Return ``lines`` as one script that stops at the first that fails and needs no terminal.

    ``compose`` stands in for ``docker compose``, ``service`` for the service ``agent``, ``address`` for the agent's.
    """
    adapted = (
        re.sub(r"(?<=\s)agent(?=\s)", service, line.replace("docker compose", compose))
        .replace("http://localhost:8000", address)
        .replace("curl ", "curl --fail --noproxy '*' ")
        .replace(" exec -u ", " exec -T -u ")
        for line in lines
    )
    return "\n".join(["set -euo pipefail", *adapted])
