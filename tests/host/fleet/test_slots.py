"""Which coordinators live."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.errors import GdwsError
from gdws.fleet.slots import OneSlot, PostgresSlots
from support.agents import eventually
from support.postgres import missing_postgres, postgres_server


def test_a_sweep_on_sqlite_has_one_slot(tmp_path: Path) -> None:
    first, second = OneSlot(tmp_path / "lock"), OneSlot(tmp_path / "lock")
    first.take()
    with pytest.raises(GdwsError, match="another coordinator works on"):
        second.take()
    first.close()
    second.take()
    assert (second.number, second.is_free(1), second.is_free(2)) == (1, False, True)
    second.close()


def test_whether_a_coordinator_lives_is_told_without_taking_a_slot(tmp_path: Path) -> None:
    slots, other = OneSlot(tmp_path / "lock"), OneSlot(tmp_path / "lock")
    assert other.are_free()
    slots.take()
    assert not other.are_free()
    slots.close()
    assert other.are_free()
    assert (tmp_path / "lock").exists()


@pytest.mark.skipif(missing_postgres() is not None, reason=missing_postgres() or "")
def test_slots_on_postgresql_are_free_once_their_holder_is_gone() -> None:
    with postgres_server() as url:
        address = url.replace("postgresql", "postgresql+psycopg", 1)
        first, second, other = PostgresSlots(address, "a"), PostgresSlots(address, "a"), PostgresSlots(address, "b")
        for slots in (first, second, other):
            slots.take()
        assert (first.number, second.number, other.number) == (1, 2, 1)
        asking, nobody = PostgresSlots(address, "a"), PostgresSlots(address, "c")
        assert (asking.are_free(), nobody.are_free()) == (False, True)
        asking.close()
        nobody.close()
        assert not second.is_free(1)
        assert second.is_free(3)
        assert second.is_free(3)  # asking does not take it
        first.close()
        eventually(lambda: second.is_free(1))  # the server notices soon
        second.close()
        other.close()


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(GdwsError, match="the database cannot be used") as caught:
        PostgresSlots(f"postgresql+psycopg://me:secret@/db?host={tmp_path}", "a")
    assert "secret" not in str(caught.value)
