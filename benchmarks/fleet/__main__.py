"""Many devices: is a job lost or doubled, and what does a coordinator take of its machine?

    python -m benchmarks.fleet [--devices 50] [--jobs 100] [--database postgresql://...]

Two coordinators (``gdws fleet run`` and ``resume``) share a sweep by a PostgreSQL database, which is started on a local
socket if none is given. The devices are thin doubles of agents in one process, whose jobs take no time, so that the
coordinators have as much to do as they can. Halfway one of them is killed, and the other takes over its devices. Then
two coordinators wait for devices that measure one long job each. Writes ``results.json`` and ``results.md`` beside this
file; fails where a job was lost or doubled, or where waiting takes more than 5 % of a core.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.fleet.sweep import Doubles, Size, Sweep

HERE = Path(__file__).resolve().parent
WAITING_LIMIT_PERCENT = 5.0
#: Before waiting is measured: all has been submitted, and the coordinators have come to rest.
SETTLE_S = 20.0


def work_through(size: Size, database: str | None, *, kill_at: float | None, cell_s: float = 0.0) -> dict[str, Any]:
    """Run a sweep to its end, and count."""
    with _sweep(size, database, cell_s=cell_s) as sweep:
        began_s = time.monotonic()
        sweep.start_all()
        for total in sweep.follow(kill_at):
            print(f"{total['jobs_done']} of {size.devices * size.jobs} jobs", file=sys.stderr, flush=True)
        elapsed_s = time.monotonic() - began_s
        progress, stored = sweep.doubles.progress(), sweep.results()
        return {
            "devices": size.devices,
            "jobs_wanted": size.devices * size.jobs,
            "jobs_done": sum(each["jobs_done"] for each in progress.values()),
            "jobs_lost": sum(max(0, size.jobs - each["jobs_done"]) for each in progress.values()),
            "jobs_doubled": sum(max(0, each["jobs"] - size.jobs) for each in progress.values()),
            "cells_measured_again": sum(each["cells_again"] for each in progress.values()),
            "submissions_repeated": sum(each["submissions"] - each["jobs"] for each in progress.values()),
            "results_stored": sum(stored.values()),
            "coordinators": size.coordinators,
            "coordinators_killed": sweep.killed,
            "seconds": round(elapsed_s, 1),
            "peak_rss_mib": [round(max(each.rss_mib), 1) for each in sweep.coordinators],
            "rss_mib_after_a_quarter": [round(each.rss_mib[len(each.rss_mib) // 4], 1) for each in sweep.coordinators],
        }


def wait(size: Size, database: str | None, *, measured_s: float) -> dict[str, Any]:
    """The processor time of coordinators whose devices all measure."""
    with _sweep(size, database, cell_s=100_000.0) as sweep:
        sweep.start_all()
        while sweep.doubles.total()["jobs"] < size.devices:
            time.sleep(1.0)
        time.sleep(SETTLE_S)
        before, began_s = [each.cpu_s() for each in sweep.coordinators], time.monotonic()
        time.sleep(measured_s)
        elapsed_s = time.monotonic() - began_s
        used = [each.cpu_s() - cpu_s for each, cpu_s in zip(sweep.coordinators, before, strict=True)]
        return {
            "devices": size.devices,
            "seconds": round(elapsed_s, 1),
            "percent_of_a_core": [round(100 * cpu_s / elapsed_s, 2) for cpu_s in used],
        }


@contextlib.contextmanager
def _sweep(size: Size, database: str | None, *, cell_s: float) -> Iterator[Sweep]:
    with tempfile.TemporaryDirectory(prefix="gdws-fleet-") as folder:
        doubles = Doubles(size.devices, cell_s)
        sweep = Sweep(Path(folder), size, doubles, database)
        try:
            yield sweep
        finally:
            sweep.close()
            doubles.close()


def table(work: dict[str, Any], waiting: dict[str, Any], machine: str) -> str:
    """The results as Markdown."""
    rss, early = (" and ".join(f"{value:.0f}" for value in work[name]) for name in ("peak_rss_mib", _EARLY))
    percent = " and ".join(f"{value:.1f}" for value in waiting["percent_of_a_core"])
    rows = [
        ("Devices, coordinators", f"{work['devices']}, {work['coordinators']} on PostgreSQL"),
        ("Jobs wanted, done, stored", f"{work['jobs_wanted']}, {work['jobs_done']}, {work['results_stored']}"),
        ("Jobs lost, doubled", f"{work['jobs_lost']}, {work['jobs_doubled']}"),
        ("Cells measured again", f"{work['cells_measured_again']}"),
        ("Coordinators killed halfway", f"{work['coordinators_killed']}"),
        ("Submissions repeated after the kill", f"{work['submissions_repeated']}, answered with the same job"),
        ("Time", f"{work['seconds']:.0f} s"),
        ("Peak memory of each coordinator", f"{rss} MiB"),
        ("Its memory after a quarter of its time", f"{early} MiB"),
        (f"Processor time of each while waiting, over {waiting['seconds']:.0f} s", f"{percent} % of a core"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    head = ["# Many devices", "", f"By `python -m benchmarks.fleet` on {machine}; the devices are doubles.", ""]
    return "\n".join([*head, "| | |", "|---|---|", *lines, ""])


def in_words(machine: dict[str, Any]) -> str:
    """The machine, with how busy it was."""
    busy = f"which was busy (load average {machine['load_average_before']} before)"
    return f"{machine['logical_cores']} cores of an {machine['cpu']}, {busy}"


_EARLY = "rss_mib_after_a_quarter"


def main() -> int:
    """Run both parts and return the exit code."""
    from benchmarks.measured import machine, write_results
    from support.postgres import missing_postgres, postgres_server

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=100, help="of each device")
    parser.add_argument("--waiting", type=float, default=60.0, help="seconds over which waiting is measured")
    parser.add_argument("--database", help="default: a server of its own")
    options = parser.parse_args()
    reason = None if options.database else missing_postgres()
    if reason is not None:
        print(f"SKIPPED: {reason}")
        return 0
    size, described = Size(options.devices, options.jobs), machine()
    with contextlib.nullcontext(options.database) if options.database else postgres_server() as database:
        work = work_through(size, database, kill_at=0.5)
        waiting = wait(Size(options.devices, 1), database, measured_s=options.waiting)
    results = {"machine": described, "work": work, "waiting": waiting}
    write_results(HERE, results, table(work, waiting, in_words(described)))
    sound = work["jobs_lost"] == work["jobs_doubled"] == work["cells_measured_again"] == 0
    sound &= work["results_stored"] == work["jobs_wanted"]
    return 0 if sound and max(waiting["percent_of_a_core"]) <= WAITING_LIMIT_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
