"""Data of every version before this one opens, with all that is in it."""

import contextlib
import json
import sqlite3

import pytest

from gdws_agent.errors import StorageFailed
from gdws_agent.storage import schema
from gdws_agent.storage.schema import MIGRATIONS, SCHEMA_VERSION
from gdws_agent.storage.store import Store
from support.agents import cell, resolved, states

MODEL = "a" * 64


@pytest.fixture
def old(tmp_path):
    """A database of version 1 with a bundle, a job that has ended and one that was cut off."""
    path = tmp_path / "agent.db"
    with contextlib.closing(sqlite3.connect(str(path))) as connection, connection:
        connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        info = {"id": MODEL, "name": "m", "size_bytes": 9, "created_at": "2024", "baseline": "dense", "variants": []}
        connection.execute("INSERT INTO models VALUES (?, ?, '{}', '2024')", (MODEL, json.dumps(info)))
        for number, state in enumerate(("done", "running", "queued")):
            request = resolved(MODEL, batch_sizes=[1, 8]).model_dump_json()
            connection.execute(
                "INSERT INTO jobs (id, model_id, state, request, cells_total, created_at)"
                " VALUES (?, ?, ?, ?, 4, '2024')",
                (f"job-{number}", MODEL, state, request),
            )
            for measured in [cell("dense"), cell("gdws")][: 2 - number]:
                connection.execute(
                    "INSERT INTO cells (job_id, key, cell) VALUES (?, ?, ?)",
                    (f"job-{number}", measured.key.model_dump_json(), measured.model_dump_json()),
                )
    return path


def test_the_data_of_the_first_version_opens_whole(old):
    with contextlib.closing(Store(old)) as store:
        assert [model.id for model in store.models()] == [MODEL]
        done, cut_off, queued = (store.job(f"job-{number}") for number in range(3))
        assert states(done) == {"dense@1": "done", "gdws@1": "done"}
        assert [job.progress.cells_finished for job in (done, cut_off, queued)] == [2, 1, 0]
        assert (done.request.priority, done.run_s, done.lease_holder) == (0, 0.0, None)
        assert store.count_interruptions() == ["job-1"]
        assert store.begin_next().id == "job-1"
        (waiting,) = store.waiting()
        assert (waiting.id, waiting.planned_s > 0, waiting.lease_id) == ("job-2", True, None)
        store.add_cell("job-1", cell("gdws"), 5.0)
        assert (store.job("job-1").progress.cells_finished, store.job("job-1").run_s) == (2, 5.0)


def test_a_step_that_fails_leaves_the_old_version_as_it_was(old, monkeypatch):
    monkeypatch.setattr(schema, "MIGRATIONS", (MIGRATIONS[0], "CREATE TABLE x (y INTEGER); NONSENSE;"))
    with pytest.raises(StorageFailed, match="NONSENSE"):
        Store(old)

    with contextlib.closing(sqlite3.connect(str(old))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'x'").fetchall() == []
    monkeypatch.undo()
    Store(old).close()


def test_an_old_and_a_new_database_have_the_same_tables(old, tmp_path):
    Store(old).close()
    Store(tmp_path / "new.db").close()

    shapes = []
    for path in (old, tmp_path / "new.db"):
        with contextlib.closing(sqlite3.connect(str(path))) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
            shapes.append(connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall())
    assert shapes[0] == shapes[1]
