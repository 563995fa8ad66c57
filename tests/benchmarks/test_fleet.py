"""Small sweeps by real coordinators over doubles: one on SQLite, two on PostgreSQL of which one is killed."""

from __future__ import annotations

import pytest

from benchmarks.fleet.__main__ import table, work_through
from benchmarks.fleet.sweep import Size
from support.postgres import missing_postgres, postgres_server


def test_one_coordinator_on_sqlite_loses_and_doubles_no_job() -> None:
    found = work_through(Size(devices=5, jobs=3, coordinators=1), None, kill_at=None)

    assert (found["jobs_wanted"], found["jobs_done"], found["results_stored"]) == (15, 15, 15)
    assert found["jobs_lost"] == found["jobs_doubled"] == found["cells_measured_again"] == 0
    assert min(found["peak_rss_mib"]) > 0


@pytest.mark.skipif(missing_postgres() is not None, reason=missing_postgres() or "")
def test_two_coordinators_on_postgresql_share_a_sweep_and_one_takes_over_for_the_other() -> None:
    with postgres_server() as database:
        found = work_through(Size(devices=4, jobs=6), database, kill_at=0.2, cell_s=0.3)

    assert (found["jobs_done"], found["results_stored"], found["coordinators_killed"]) == (24, 24, 1)
    assert found["jobs_lost"] == found["jobs_doubled"] == found["cells_measured_again"] == 0
    waiting = {"seconds": 1.0, "percent_of_a_core": [1.0, 2.0]}
    assert "| Jobs lost, doubled | 0, 0 |" in table(found, waiting, "a machine")
