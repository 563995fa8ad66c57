"""Scripts that kill processes at random moments and check what is left: what they have in common."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Lost(Exception):
    """The end is not that of a run that was left alone: something was lost, doubled or became another."""


def main(about: str, kills: int, run: Callable[[Path, int, int], Any]) -> int:
    """Run a script ``about`` what it says and return its exit code; ``run(folder, kills, seed)`` returns a NamedTuple.

    ``kills`` is how many there are unless the command line says otherwise.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gdws-kills-") as folder:
        try:
            print(json.dumps(run(Path(folder), options.kills, options.seed)._asdict(), indent=1))
        except Lost as error:
            print(error, file=sys.stderr)
            return 1
    return 0
