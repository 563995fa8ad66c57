"""The devices of the benchmark: thin doubles of agents, all in this process.

    python -m benchmarks.fleet.doubles --devices 50

Prints the address of each as JSON, and for each line on standard input how far they are; ends when that ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from support.thin_agents import ThinAgent, thin_agents


def progress_of(agent: ThinAgent) -> dict[str, int]:
    """What a device was asked for and did."""
    measured = Counter(agent.measured)
    return {
        "jobs": len(agent.jobs),
        "jobs_done": agent.done,
        "cells": len(measured),
        "cells_again": measured.total() - len(measured),
        "submissions": agent.submissions,
    }


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--cell-s", type=float, default=0.0, help="how long a cell takes")
    options = parser.parse_args()
    names = [f"d{index:02}" for index in range(options.devices)]
    with thin_agents(names, cell_s=options.cell_s) as agents:
        print(json.dumps({name: agents.url(name) for name in names}), flush=True)
        for _ in sys.stdin:
            print(json.dumps({agent.name: progress_of(agent) for agent in agents}), flush=True)


if __name__ == "__main__":
    main()
