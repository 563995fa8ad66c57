"""The number that tells whether what is stored has changed."""

import contextlib
import threading

import pytest

from gdws_agent.storage.database import Database
from support.agents import PATIENCE_S


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path / "agent.db")) as database:
        yield database


def write(database):
    with database.writing() as connection:
        connection.execute("UPDATE ages SET age_s = age_s + 1")


def test_each_write_makes_another_generation_and_reading_does_not(database):
    seen = [database.generation]
    for _ in range(3):
        write(database)
        seen.append(database.generation)
    assert len(set(seen)) == 4
    assert None not in seen
    with database.reading() as connection:
        connection.execute("SELECT age_s FROM ages").fetchone()
    assert database.generation == seen[-1]


def test_there_is_none_while_something_is_written(database):
    with database.writing():
        assert database.generation is None
    assert database.generation is not None


def test_a_write_that_fails_makes_one_too_and_is_over(database):
    before = database.generation
    with pytest.raises(RuntimeError), database.writing():
        raise RuntimeError
    assert database.generation not in (None, before)


def test_what_was_read_within_one_generation_is_what_is_stored_until_it_changes(database):
    """Against a thread that writes without a pause."""
    stop = threading.Event()

    def keep_writing():
        while not stop.is_set():
            write(database)

    def look():
        with database.reading() as connection:
            return connection.execute("SELECT age_s FROM ages").fetchone()[0]

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        kept, seen_s = None, 0.0
        for _ in range(300):
            generation = database.generation
            if kept is not None and generation == kept[0]:
                # What was kept is no older than what a look that ended before has shown.
                assert kept[1] >= seen_s
            age_s = seen_s = look()
            if generation is not None and generation == database.generation:
                kept = (generation, age_s)
    finally:
        stop.set()
        writer.join(PATIENCE_S)
