import os

import pytest

from gdws_agent.backends.engine_cache import EngineCache, Entry, fingerprint

ENTRY = Entry(b"engine\n\0 of bytes", {"build_time_s": 1.5})


def test_what_is_stored_is_loaded(tmp_path):
    cache = EngineCache(tmp_path / "not" / "there")
    assert cache.load("key") == (None, None)
    assert cache.store("key", ENTRY) is None
    assert cache.load("key") == (ENTRY, None)
    assert cache.load("other") == (None, None)


def test_storing_again_replaces(tmp_path):
    cache = EngineCache(tmp_path)
    cache.store("key", ENTRY)
    cache.store("key", Entry(b"newer", {}))
    assert cache.load("key").entry == Entry(b"newer", {})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content.replace(b"engine", b"enginf"),
        lambda content: content.replace(b"1.5", b"2.5"),
        lambda content: b"\xff" * 100,
        lambda content: b"[]\n",
        lambda content: b'{"facts": 3, "sha256": ""}\n',
    ],
)
def test_a_damaged_entry_is_none_and_says_so(tmp_path, damage):
    cache = EngineCache(tmp_path)
    cache.store("key", ENTRY)
    (path,) = tmp_path.glob("*.cache")
    path.write_bytes(damage(path.read_bytes()))
    found = cache.load("key")
    assert found.entry is None
    assert "damaged" in (found.problem or "")


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = EngineCache(tmp_path / "file" / "cache")
    assert "cannot be written" in (cache.store("key", ENTRY) or "")
    assert cache.load("key").entry is None


def test_the_least_recently_used_goes_first(tmp_path):
    cache = EngineCache(tmp_path, max_bytes=2_500)
    for age, key in enumerate(["a", "b"]):
        cache.store(key, Entry(b"x" * 1_000, {}))
        os.utime(tmp_path / f"{key}.cache", (age, age))
    cache.load("a")
    cache.store("c", Entry(b"x" * 1_000, {}))
    assert [key for key in "abc" if cache.load(key).entry is not None] == ["a", "c"]


def test_the_newest_stays_whatever_its_size(tmp_path):
    cache = EngineCache(tmp_path, max_bytes=10)
    cache.store("key", ENTRY)
    assert cache.load("key").entry == ENTRY


def test_what_a_crash_left_half_written_is_removed(tmp_path):
    leftover = tmp_path / "key.cache.1234.partial"
    leftover.write_bytes(b"half")
    EngineCache(tmp_path).store("key", ENTRY)
    assert not leftover.exists()


def test_fingerprints_differ_with_every_fact_and_not_with_their_order():
    facts = {"model": "m", "gpu": "g", "l4t": None}
    prints = {fingerprint({**facts, name: "other"}) for name in facts}
    assert len(prints | {fingerprint(facts)}) == 4
    assert fingerprint(dict(reversed(list(facts.items())))) == fingerprint(facts)
