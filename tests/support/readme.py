"""The lines of README.md that a reader pastes, run as a reader would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = "http://localhost:8000"
#: What README says to add where the agent needs a token.
TOKEN_OPTION = '-H "Authorization: Bearer $GDWS_TOKEN"'


class LineFailed(Exception):
    """A line of README.md does not do what it says; the message has its output."""


def curl_lines() -> list[str]:
    """Return README's lines that call the agent's REST interface, in order."""
    return re.findall(r"^curl .*$", README.read_text(), flags=re.MULTILINE)


def run_curl_lines(url: str, bundle: Path, folder: Path, token: str | None = None) -> list[Any]:
    """Run them against the agent at ``url``, which knows no bundle yet, in ``folder``; return their answers.

    ``bundle`` is put where README says that the demo leaves one, and a ``token`` is added to each line as README tells.

    Raises:
        LineFailed: a line ends with an error, or its answer is not JSON.
    """
    model = folder / "demo-output" / "model.gdws"
    model.parent.mkdir(parents=True)
    shutil.copyfile(bundle, model)
    header = "" if token is None else TOKEN_OPTION
    return [_run(line.replace("curl ", f"curl {header} ", 1), url, folder, token or "") for line in curl_lines()]


def _run(line: str, url: str, folder: Path, token: str) -> Any:
    command = line.replace(ADDRESS, url).replace("curl ", "curl --fail-with-body --noproxy '*' ", 1)
    environment = {**os.environ, "GDWS_TOKEN": token}
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=660, env=environment)
    try:
        if done.returncode != 0:
            raise ValueError(f"status {done.returncode}")
        return json.loads(done.stdout)
    except ValueError as error:
        raise LineFailed(f"{line}: {error}\n{done.stdout}{done.stderr}") from error
