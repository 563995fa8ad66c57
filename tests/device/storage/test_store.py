import sqlite3
import threading

import pytest

from gdws_agent.errors import (
    JobNotFound,
    ModelInUse,
    ModelNotFound,
    StorageFailed,
    StorageFull,
    StoreUnsupported,
    make_problem,
)
from gdws_agent.storage.schema import SCHEMA_VERSION
from gdws_agent.storage.store import Store
from gdws_contract.archive import open_bundle
from gdws_contract.attacks import AttackedImage
from gdws_contract.rest import ModelInfo
from support.agents import cell, resolved, states
from support.bundles import tiny_bundle

MODEL = "a" * 64


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    with open_bundle(tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.gdws", net="linear")) as bundle:
        return bundle.manifest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "agent.db"


@pytest.fixture
def store(path, manifest):
    opened = Store(path)
    opened.add_model(info(), manifest.model_dump())
    yield opened
    opened.close()


def info(model_id=MODEL, created_at="2024-01-01T00:00:00.000Z"):
    return ModelInfo(
        id=model_id, name="tiny", size_bytes=9, created_at=created_at, baseline="dense", variants=["dense", "gdws"]
    )


def waiting_ids(store):
    return [waiting.id for waiting in store.waiting()]


def reopened(store, path):
    store.close()
    return Store(path)


# Bundles


def test_a_bundle_comes_back_with_its_manifest(store, manifest):
    assert store.model(MODEL) == info().model_copy(update={"manifest": manifest})
    assert store.manifest(MODEL) == manifest


def test_adding_a_bundle_again_changes_nothing(store, manifest):
    assert not store.add_model(info(created_at="2025-01-01T00:00:00.000Z"), manifest.model_dump())
    assert store.models() == [info()]


def test_bundles_are_listed_newest_first_without_manifests(store, manifest):
    newer = info("b" * 64, "2024-02-01T00:00:00.000Z")
    assert store.add_model(newer, manifest.model_dump())

    assert store.models() == [newer, info()]


@pytest.mark.parametrize("method", ["model", "manifest", "remove_model"])
def test_an_unknown_bundle_is_named(store, method):
    with pytest.raises(ModelNotFound, match="'nope'"):
        getattr(store, method)("nope")


def test_a_bundle_is_kept_as_long_as_a_job_needs_it(store):
    job = store.add_job(resolved(MODEL))
    with pytest.raises(ModelInUse, match=job.id):
        store.remove_model(MODEL)
    store.begin_next()
    with pytest.raises(ModelInUse, match=job.id):
        store.remove_model(MODEL)

    store.finish(job.id, "done")
    store.remove_model(MODEL)

    assert store.models() == []
    assert store.job(job.id).state == "done"


# Jobs


def test_a_new_job_waits_with_all_its_cells_to_do(store):
    request = resolved(MODEL, batch_sizes=[1, 8], label="x")

    job = store.add_job(request)

    assert (job.state, job.request) == ("queued", request)
    assert [waiting.id for waiting in store.waiting()] == [job.id]
    assert (job.progress.cells_total, job.progress.cells_finished, job.cells) == (4, 0, [])
    assert (job.started_at, job.finished_at, job.error) == (None, None, None)


def test_the_jobs_that_wait_are_read_again_when_something_changed_and_not_before(store):
    first = store.add_job(resolved(MODEL))
    known = store.waiting()
    assert store.waiting() is known

    second = store.add_job(resolved(MODEL))
    assert waiting_ids(store) == [first.id, second.id]
    store.begin_next()
    assert waiting_ids(store) == [second.id]


def test_no_job_without_its_bundle(store):
    with pytest.raises(ModelNotFound):
        store.add_job(resolved("b" * 64))
    assert store.jobs(10).jobs == []


def test_an_unknown_job_is_named(store):
    with pytest.raises(JobNotFound, match="'nope'"):
        store.job("nope")


def test_jobs_leave_the_queue_oldest_first(store):
    first, second, third = (store.add_job(resolved(MODEL)) for _ in range(3))
    assert waiting_ids(store) == [first.id, second.id, third.id]

    begun = store.begin_next()

    assert begun is not None
    assert (begun.id, begun.state) == (first.id, "running")
    assert begun.started_at is not None
    assert waiting_ids(store) == [second.id, third.id]
    assert store.count_queued() == 2


def test_a_job_that_an_earlier_agent_left_running_goes_first(store, path):
    first, _ = store.add_job(resolved(MODEL)), store.add_job(resolved(MODEL))
    started_at = store.begin_next().started_at

    store = reopened(store, path)
    assert store.count_interruptions() == [first.id]
    again = store.begin_next()

    assert (again.id, again.started_at) == (first.id, started_at)
    store.close()


def test_a_job_put_back_keeps_its_place_and_its_cells(store):
    first, second = store.add_job(resolved(MODEL)), store.add_job(resolved(MODEL))
    store.begin_next()
    store.add_cell(first.id, cell("dense"))

    store.requeue(first.id)

    assert waiting_ids(store) == [first.id, second.id]
    assert states(store.begin_next()) == {"dense@1": "done"}


def test_a_job_ends_once(store):
    job = store.add_job(resolved(MODEL))
    store.finish(job.id, "done")
    assert store.job(job.id).state == "queued"

    store.begin_next()
    problem = make_problem(404, "model-not-found", "gone")
    store.finish(job.id, "failed", problem)
    store.finish(job.id, "done")
    store.requeue(job.id)

    ended = store.job(job.id)
    assert (ended.state, ended.error) == ("failed", problem)
    assert ended.finished_at is not None
    assert store.begin_next() is None


def test_only_a_waiting_job_is_cancelled_in_the_queue(store):
    job = store.add_job(resolved(MODEL))
    assert store.cancel_queued(job.id)
    assert not store.cancel_queued(job.id)
    assert store.job(job.id).state == "cancelled"
    assert store.begin_next() is None


def test_jobs_are_listed_newest_first_without_cells(store):
    jobs = [store.add_job(resolved(MODEL)) for _ in range(3)]
    store.begin_next()
    store.add_cell(jobs[0].id, cell())

    listed = store.jobs(2).jobs

    assert [job.id for job in listed] == [jobs[2].id, jobs[1].id]
    oldest = store.jobs(10).jobs[-1]
    assert (oldest.cells, oldest.progress.cells_finished) == ([], 1)


# Cells


def test_cells_come_back_in_order_of_finishing(store):
    job = store.add_job(resolved(MODEL, batch_sizes=[1, 8]))
    for finished in (cell("gdws", batch_size=8), cell("dense"), cell("gdws", "failed")):
        store.add_cell(job.id, finished)

    assert list(states(store.job(job.id))) == ["gdws@8", "dense@1", "gdws@1"]


def test_a_cell_measured_again_replaces_the_first(store):
    job = store.add_job(resolved(MODEL))
    store.add_cell(job.id, cell("dense"))
    store.add_cell(job.id, cell("dense").model_copy(update={"fps": 5.0}))

    assert [kept.fps for kept in store.job(job.id).cells] == [5.0]


# Crashes


def test_what_was_stored_is_there_for_a_reader_that_opens_beside_the_writer(store, path):
    """Nothing waits in memory: what a kill -9 leaves is what another connection sees."""
    job = store.add_job(resolved(MODEL))
    store.add_cell(job.id, cell())

    beside = Store(path)

    assert states(beside.job(job.id)) == {"dense@1": "done"}
    beside.close()


def test_interruptions_count_in_a_row_until_a_cell_ends(store, path):
    job = store.add_job(resolved(MODEL))
    store.begin_next()
    for expected in (1, 2):
        store = reopened(store, path)
        store.count_interruptions()
        assert store.interruptions(job.id) == expected

    store.add_cell(job.id, cell())

    assert store.interruptions(job.id) == 0
    store.close()


def test_waiting_jobs_are_not_interrupted(store):
    store.add_job(resolved(MODEL))
    assert store.count_interruptions() == []


# The file


def test_the_schema_version_is_written(path, store):
    assert sqlite3.connect(str(path)).execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_newer_schema_is_refused_and_left_alone(store, path):
    store.close()
    with sqlite3.connect(str(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreUnsupported) as caught:
        Store(path)

    assert f"schema version {SCHEMA_VERSION + 1}" in caught.value.message
    assert "upgrade" in (caught.value.hint or "")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(StoreUnsupported, match="cannot be read"):
        Store(path)


def test_a_folder_that_is_not_there_is_a_storage_failure(tmp_path):
    with pytest.raises(StorageFailed, match="unable to open"):
        Store(tmp_path / "missing" / "agent.db")


def test_a_full_disk_is_named_and_nothing_is_changed(store, path):
    job = store.add_job(resolved(MODEL))
    with store.database.writing() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill():
        for batch_size in range(1, 1000):
            large = cell(batch_size=batch_size).model_copy(update={"environment": {"pad": "x" * 2000}})
            store.add_cell(job.id, large)

    with pytest.raises(StorageFull, match="no space left"):
        fill()
    kept = store.job(job.id).cells

    assert 0 < len(kept) < 999
    with store.database.writing() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    store.add_cell(job.id, cell(batch_size=60_000))
    assert len(store.job(job.id).cells) == len(kept) + 1


def test_threads_share_the_store(store):
    errors = []

    def work(number):
        try:
            for index in range(10):
                job = store.add_job(resolved(MODEL))
                store.add_cell(job.id, cell(batch_size=1 + index))
                assert len(store.job(job.id).cells) == 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(store.jobs(1000).jobs) == 80


# Images of attacks


def test_images_are_kept_until_their_cell_ends(store, path):
    job = store.add_job(resolved(MODEL))
    dense, gdws = cell("dense"), cell("gdws")
    first, second = [AttackedImage(0, 3), AttackedImage(1, None, True, False)], [AttackedImage(2, 0)]
    store.add_attacked(job.id, dense.key, first, 1.0)
    store.add_attacked(job.id, gdws.key, second, 2.0)
    store.add_attacked(job.id, dense.key, second, 3.5)
    store = reopened(store, path)
    assert store.attacked(job.id) == {dense.key: [*first, *second], gdws.key: second}
    assert store.attacked("another") == {}
    assert store.outline(job.id).run_s == 3.5

    store.add_cell(job.id, dense)
    assert store.attacked(job.id) == {gdws.key: second}
    store.close()


def test_an_image_shows_that_a_job_gets_on(store):
    job = store.add_job(resolved(MODEL))
    store.begin_next()
    store.count_interruptions()
    assert store.interruptions(job.id) == 1
    store.add_attacked(job.id, cell().key, [AttackedImage(0, 3)], 1.0)
    assert store.interruptions(job.id) == 0
