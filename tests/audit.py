"""Asks PyPI's vulnerability service about pinned versions, through pip-audit.

    python tests/audit.py REQUIREMENTS...

Exit status: 0 nothing is known, or SKIPPED in one line because the service could not be asked; 1 something is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

_TIMEOUT_S = 15


class Audit(NamedTuple):
    """What became of one file: pins asked about, those that the service does not know, and what it warns of."""

    asked: int
    unknown: int
    warnings: list[str]


def audit(requirements: str) -> Audit | str:
    """Return what the service says about a file of pins, or in one line why it could not be asked."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner=off"]
    command += ["--format=json", f"--timeout={_TIMEOUT_S}", "--requirement", requirements]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return judge(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines() or [f"pip-audit ended with status {done.returncode}"]
        return said[-1][:200]


def judge(dependencies: Sequence[dict[str, Any]]) -> Audit:
    """Return what pip-audit's list of ``dependencies`` comes to."""
    return Audit(
        asked=len(dependencies),
        unknown=sum("skip_reason" in each for each in dependencies),
        warnings=[
            f"{each['name']} {each['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
            for each in dependencies
            for found in each.get("vulns", ())
        ],
    )


def main(files: Sequence[str]) -> int:
    """Audit each of ``files`` and return the exit status."""
    status = 0
    for path in files:
        found = audit(path)
        if isinstance(found, str):
            print(f"SKIPPED: audit of {path}: the vulnerability service cannot be asked ({found})")
        elif found.asked and found.unknown == found.asked:
            print(f"SKIPPED: audit of {path}: the vulnerability service cannot be reached, or knows none of the pins")
        else:
            print(f"{path}: {found.asked - found.unknown} of {found.asked} pins known, {len(found.warnings)} warnings")
            for warning in found.warnings:
                print(f"  {warning}")
            status = 1 if found.warnings else status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
