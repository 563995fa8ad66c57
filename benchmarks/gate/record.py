"""Record what runs of a gate look like on this machine: a network beside itself, and beside one that is slower.

    python -m benchmarks.gate.record [--runs 40] [--width 120] [--append]

Each run is a job on the CPU agent, as ``gdws gate`` sends it. The two kinds take turns, so that both see the same
machine. Writes ``recorded.json`` beside this file: the medians of the windows of every run. ``run.py`` simulates
gates from them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.gate.networks import Burdened, shipped, write
from benchmarks.measured import machine
from gdws.device.local_agent import local_agent
from gdws.gate.figures import Run
from gdws.gate.pairing import plan_pairing
from gdws.gate.session import Session
from gdws.gate.settings import Measurement
from gdws_contract.findings.intervals import geometric_mean

HERE = Path(__file__).resolve().parent

#: One thread: two would have to wait for each other whenever anything else runs on a machine of two cores.
MEASUREMENT = Measurement(threads=1)
#: Filters of the burden that make the shipped network about a twentieth slower on this machine.
WIDTH = 136


def windows_of(run: Run) -> dict[str, list[float]]:
    """The medians of the windows of both networks of a run, in milliseconds."""
    sides = {"candidate": run.candidate, "baseline": run.baseline}
    return {
        side: [window.median_ms for cell in cells.values() for window in cell.rounds] for side, cells in sides.items()
    }


def ratios(runs: Sequence[Mapping[str, Sequence[float]]]) -> list[float]:
    """Candidate over baseline in each run: the ratio of the geometric means of the windows."""
    return [statistics.geometric_mean(run["candidate"]) / statistics.geometric_mean(run["baseline"]) for run in runs]


#: A recorded run: the windows of both networks in milliseconds, and the seconds that it took.
Recorded = dict[str, list[float]]


def scheduling() -> str:
    """The scheduling class of this process and of the agent that it starts: real time keeps other work away."""
    names = {os.SCHED_OTHER: "normal", os.SCHED_FIFO: "real time", os.SCHED_RR: "real time"}
    return names.get(os.sched_getscheduler(0), "other")


def record(folder: Path, width: int, count: int) -> dict[str, list[Recorded]]:
    """Measure ``count`` runs of each kind, in turns."""
    main = write(folder / "main.gdws", shipped())
    slower = write(folder / "slower.gdws", Burdened(shipped(), width))
    found: dict[str, list[Recorded]] = {"same": [], "slower": []}
    with local_agent() as url:
        for number in range(1, count + 1):
            for kind, candidate in (("same", main), ("slower", slower)):
                pairing = plan_pairing(candidate, main, None)
                session = Session(url, None, pairing, MEASUREMENT.request(), folder / kind, say=lambda line: None)
                began_s = time.monotonic()
                with session.held() as measure:
                    run = windows_of(measure(number)[1])
                found[kind].append({**run, "seconds": [time.monotonic() - began_s]})
    return found


def main() -> int:
    """Record, and say how much slower the slower network is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40, help="of each kind")
    parser.add_argument("--width", type=int, default=WIDTH, help="filters of the burden")
    parser.add_argument("--out", type=Path, default=HERE / "recorded.json")
    parser.add_argument("--append", action="store_true", help="add to the runs that are recorded already")
    options = parser.parse_args()
    before = machine() | {"scheduling": scheduling()}
    with tempfile.TemporaryDirectory() as folder:
        runs = record(Path(folder), options.width, options.runs)
    if options.append and options.out.exists():
        former = json.loads(options.out.read_text())
        if former["width"] != options.width:
            parser.error(f"{options.out} is of another network: --width {former['width']}")
        runs = {kind: [*former["runs"][kind], *found] for kind, found in runs.items()}
    document = {"machine": before, "width": options.width, "measurement": MEASUREMENT.model_dump(), "runs": runs}
    options.out.write_text(json.dumps(document) + "\n")
    for kind, found in runs.items():
        print(kind, geometric_mean(ratios(found)), geometric_mean([run["baseline"][0] for run in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
