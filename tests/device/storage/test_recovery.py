from __future__ import annotations

import logging
import shutil

import pytest

from gdws_agent.errors import StoreUnsupported
from gdws_agent.storage.recovery import notices, open_store, set_aside
from gdws_agent.storage.store import Store
from support.agents import agent
from support.bundles import tiny_bundle


@pytest.fixture
def path(tmp_path):
    return tmp_path / "agent.db"


def test_a_store_that_is_whole_is_opened(path):
    opened = open_store(path)
    opened.store.close()

    assert not opened.is_replacement
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
        opened = open_store(path)
    jobs = opened.store.jobs(10).jobs
    opened.store.close()

    assert opened.is_replacement
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


def test_the_bundles_outlive_a_damaged_database_and_the_agent_says_what_happened(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny.gdws", net="linear")
    with agent(tmp_path / "data") as service:
        from gdws_agent.storage.library import check_bundle

        copy = shutil.copy(str(bundle), str(service.folder.uploads / "copy"))
        model_id = service.library.add(check_bundle(type(bundle)(copy)))[0].id
    (tmp_path / "data" / "models" / f"{'0' * 64}.gdws").write_bytes(b"no bundle")
    (tmp_path / "data" / "agent.db").write_bytes(b"x" * 10_000)

    with agent(tmp_path / "data") as service:
        assert [model.id for model in service.library.models()] == [model_id]
        assert service.library.path(model_id).exists()
        assert [notice.code for notice in service.health().notices] == ["database-set-aside"]
        assert service.device().notices == service.health().notices
        assert not (tmp_path / "data" / "models" / f"{'0' * 64}.gdws").exists()
