import logging
import shutil
import threading

import pytest

from gdws_agent.errors import StoreUnsupported
from gdws_agent.storage.library import check_bundle
from gdws_agent.storage.recovery import Notices, notices, open_store, set_aside
from gdws_agent.storage.store import Store
from support.agents import agent, eventually
from support.bundles import tiny_bundle


@pytest.fixture
def path(tmp_path):
    return tmp_path / "agent.db"


def test_without_threads_the_last_notices_are_given_and_looked_for_later(path, monkeypatch):
    now_s = [0.0]
    told = Notices(path, max_age_s=1.0, clock=lambda: now_s[0])
    path.with_name("agent.db.damaged-1").write_bytes(b"x")
    now_s[0] = 2.0
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        assert told.known() == []
    told.known()
    eventually(lambda: len(told.known()) == 1)


def no_thread(thread):
    raise RuntimeError("can't start new thread")


def test_a_store_that_is_whole_is_opened(path):
    for was_used in (False, True):
        Store(path).close()
        open_store(path, was_used=was_used).close()
        assert notices(path) == []


def damage_header(path):
    data = bytearray(path.read_bytes())
    data[:16] = b"not a database !"
    path.write_bytes(data)


def damage_pages(path):
    data = bytearray(path.read_bytes())
    for offset in range(4_096, len(data), 4_096):
        data[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:6_000])


@pytest.mark.parametrize("damage", [damage_header, damage_pages, truncate])
def test_a_damaged_store_is_set_aside_as_it_is_and_a_new_one_begins(path, damage, caplog):
    Store(path).close()
    damage(path)
    found = path.read_bytes()

    with caplog.at_level(logging.ERROR):
        store = open_store(path)
    jobs = store.jobs(10).jobs
    store.close()

    assert jobs == []
    (kept,) = path.parent.glob("agent.db.damaged-*")
    assert kept.read_bytes() == found
    assert kept.name in caplog.text
    (notice,) = notices(path)
    assert (notice.code, kept.name in notice.detail) == ("database-set-aside", True)
    assert notice.hint


def test_each_damaged_store_is_kept(path):
    for _ in range(3):
        path.write_bytes(b"x" * 5_000)
        set_aside(path)

    assert len(notices(path)) == 3


def test_what_belongs_to_a_database_goes_with_it(path):
    for suffix in ("", "-wal", "-shm"):
        (path.parent / f"{path.name}{suffix}").write_bytes(suffix.encode())

    kept = set_aside(path)

    assert (kept.parent / f"{kept.name}-wal").read_bytes() == b"-wal"
    assert not (path.parent / "agent.db-wal").exists()
    assert len(notices(path)) == 1


def test_a_newer_store_is_no_damaged_one(path):
    store = Store(path)
    with store.database.writing() as connection:
        connection.execute("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(StoreUnsupported, match="99"):
        open_store(path)
    assert notices(path) == []


def missing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("lose", [missing, empty])
def test_a_lost_store_leaves_a_mark_and_a_new_one_begins(path, lose, caplog):
    Store(path).close()
    lose(path)

    with caplog.at_level(logging.ERROR):
        open_store(path, was_used=True).close()

    (notice,) = notices(path)
    (mark,) = path.parent.glob("agent.db.damaged-*")
    assert (notice.code, mark.name in notice.detail) == ("database-set-aside", True)
    assert "lost" in notice.detail
    assert "empty or missing" in caplog.text
    open_store(path, was_used=True).close()
    assert len(notices(path)) == 1
    mark.unlink()
    assert notices(path) == []


@pytest.mark.parametrize("lose", [missing, empty])
def test_the_log_of_a_lost_store_is_kept(path, lose):
    """SQLite removes it beside an empty database. It may hold the last results."""
    store = Store(path)
    left = (path.parent / "agent.db-wal").read_bytes()
    store.close()
    lose(path)
    (path.parent / "agent.db-wal").write_bytes(left)

    open_store(path).close()

    (kept,) = path.parent.glob("agent.db.damaged-*-wal")
    assert kept.read_bytes() == left


def test_a_folder_that_was_never_used_has_nothing_to_tell(path):
    open_store(path).close()
    assert notices(path) == []


def become_another_database(path):
    """As from a backup that is older than the bundles."""
    path.unlink()
    Store(path).close()


@pytest.mark.parametrize(
    ("harm", "codes"),
    [
        (lambda path: path.write_bytes(b"x" * 10_000), ["database-set-aside"]),
        (truncate, ["database-set-aside"]),
        (missing, ["database-set-aside"]),
        (empty, ["database-set-aside"]),
        (become_another_database, []),
    ],
)
def test_the_bundles_outlive_the_database_and_the_agent_says_what_happened(tmp_path, harm, codes):
    bundle = tiny_bundle(tmp_path / "tiny.gdws", net="linear")
    with agent(tmp_path / "data") as service:
        copy = shutil.copy(str(bundle), str(service.folder.uploads / "copy"))
        model_id = service.library.add(check_bundle(type(bundle)(copy)))[0].id
    strange = tmp_path / "data" / "models" / f"{'0' * 64}.gdws"
    strange.write_bytes(b"of a later release, perhaps")
    harm(tmp_path / "data" / "agent.db")

    for _ in range(2):
        with agent(tmp_path / "data") as service:
            assert [model.id for model in service.library.models()] == [model_id]
            assert service.library.model(model_id).name == "tiny"
            assert service.library.path(model_id).read_bytes() == bundle.read_bytes()
            assert [notice.code for notice in service.health().notices] == codes
            assert service.device().notices == service.health().notices
    assert strange.exists()
