import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.errors import JobNotFound
from gdws_agent.storage.inventory import Item
from gdws_agent.storage.library import check_bundle
from gdws_agent.storage.retention import Keep, Retention, to_remove
from support.agents import agent, cell, resolved
from support.bundles import tiny_bundle

DAY_S = 86_400.0
MB = 2**20

ITEMS = st.lists(
    st.builds(Item, st.uuids().map(str), st.integers(0, 50 * MB), st.floats(0, 100 * DAY_S), st.booleans()), max_size=20
)


def items(*ages_days, size_mb=10, needed=()):
    return [Item(str(n), size_mb * MB, days * DAY_S, n in needed) for n, days in enumerate(ages_days)]


def names(gone):
    return [item.name for item in gone]


def test_what_is_too_old_is_removed():
    assert names(to_remove(items(9, 8, 5, 1), Keep(days=7, mb=0))) == ["0", "1"]


def test_the_oldest_beyond_the_size_are_removed():
    assert names(to_remove(items(9, 8, 5, 1), Keep(days=0, mb=25))) == ["0", "1"]


def test_what_is_needed_is_kept_whatever_it_takes():
    assert names(to_remove(items(9, 8, 5, 1, needed=(0,)), Keep(days=7, mb=25))) == ["1", "2"]


def test_the_newest_is_kept_whatever_it_takes():
    assert names(to_remove(items(9, size_mb=100), Keep(days=1, mb=1))) == []


def test_without_limits_all_is_kept():
    assert to_remove(items(9_999, 8), Keep(0, 0)) == []


@given(ITEMS, st.floats(0, 50), st.integers(0, 100))
def test_no_more_is_removed_than_the_limits_ask(found, days, mb):
    found.sort(key=lambda item: -item.age_s)
    gone = to_remove(found, Keep(days, mb))

    assert not any(item.needed for item in gone)
    kept_bytes = sum(item.size_bytes for item in found if item not in gone)
    for index, item in enumerate(gone):
        then_bytes = kept_bytes + sum(each.size_bytes for each in gone[index:])
        assert item.age_s > days * DAY_S > 0 or then_bytes > mb * MB > 0
    if mb and not any(item.needed for item in found):
        assert kept_bytes <= mb * MB or len(gone) == len(found) - 1


@pytest.fixture(scope="module")
def bundle_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return [tiny_bundle(folder / f"{n}.gdws", net="linear", variants=["dense", f"v{n}"]) for n in range(3)]


@pytest.fixture
def service(tmp_path, bundle_paths):
    with agent(tmp_path / "data") as made:
        for number, path in enumerate(bundle_paths):
            copy = shutil.copy(str(path), str(made.folder.uploads / str(number)))
            made.library.add(check_bundle(Path(copy)))
        yield made


def tidy(service, **settings):
    """Remove what settings say, in a store that is grown older by hand."""
    store = service.jobs._store
    Retention(store, service.library, service.folder.cache, service.settings.model_copy(update=settings)).tidy()


def grow_older(service, days):
    service.jobs._store._age_before_s += days * DAY_S


def finished(service, model_id, label=None):
    store = service.jobs._store
    job = store.add_job(resolved(model_id, label=label))
    store.begin_next()
    store.add_cell(job.id, cell())
    store.finish(job.id, "done")
    return job.id


def test_old_results_go_and_those_that_wait_or_run_stay(service, caplog):
    model_id = service.library.models()[0].id
    old = finished(service, model_id)
    grow_older(service, 10)
    new = finished(service, model_id)
    waiting = service.jobs.submit(resolved(model_id)).id

    with caplog.at_level(logging.INFO):
        tidy(service, keep_results_days=7)

    with pytest.raises(JobNotFound):
        service.jobs.job(old)
    assert service.jobs.job(new).state == "done"
    assert service.jobs.job(waiting).state == "queued"
    assert f"removed a result to keep to the limits: {old}" in caplog.text


def test_the_cells_of_a_result_that_is_removed_go_with_it(service):
    model_id = service.library.models()[0].id
    finished(service, model_id)
    grow_older(service, 10)
    finished(service, model_id)
    tidy(service, keep_results_days=7)

    with service.jobs._store.database.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM cells").fetchone()[0] == 1


def test_bundles_go_by_their_last_use_and_never_while_a_job_needs_them(service):
    newest, used, needed = (model.id for model in service.library.models())
    service.jobs.submit(resolved(needed))
    grow_older(service, 10)
    finished_id = finished(service, used)
    service.jobs.cancel(finished_id)
    tidy(service, keep_models_days=7)

    left = {model.id for model in service.library.models()}
    assert left == {used, needed}
    assert not service.library.path(newest).exists()
    assert service.library.path(needed).exists()


def test_bundles_beyond_the_size_go(service, monkeypatch):
    monkeypatch.setattr("gdws_agent.storage.inventory._size", lambda path: 10 * MB)
    tidy(service, keep_models_mb=15)

    assert len(service.library.models()) == 1


def test_engines_go_by_their_last_use(service):
    cache = service.folder.cache / "tensorrt"
    cache.mkdir()
    for name in ("old.cache", "used.cache", "new.cache"):
        (cache / name).write_bytes(b"engine")
    tidy(service)
    grow_older(service, 10)
    os.utime(str(cache / "used.cache"), ns=(1, 1))  # whatever the clock of the day says
    (cache / "new.cache").write_bytes(b"another")
    tidy(service, keep_engines_days=7)

    assert sorted(path.name for path in cache.iterdir()) == ["new.cache", "used.cache"]


def test_engines_stay_while_a_job_waits(service):
    (service.folder.cache / "old.cache").write_bytes(b"engine")
    (service.folder.cache / "other.cache").write_bytes(b"engine")
    tidy(service)
    grow_older(service, 10)
    service.jobs.submit(resolved(service.library.models()[0].id))
    tidy(service, keep_engines_days=7)

    assert len(list(service.folder.cache.iterdir())) == 2


def test_the_age_of_a_store_goes_on_with_the_next_agent_whatever_the_clock_says(tmp_path):
    with agent(tmp_path / "data") as service:
        grow_older(service, 3)
        tidy(service)
    with agent(tmp_path / "data") as service:
        assert service.jobs._store.age_s() >= 3 * DAY_S
