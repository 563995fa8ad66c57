import pytest

from gdws_agent.api.connections import Places


class Connection:
    """A connection that knows whether it was dropped."""

    def __init__(self):
        self.is_dropped = False

    def drop(self):
        self.is_dropped = True


@pytest.fixture
def places():
    return Places(8, local=2)


def enter(places, *, is_known=None, is_local=False):
    """Return a connection that has a place; it waits for a request where ``is_known`` is given, else it has one."""
    connection = Connection()
    assert places.enter(connection, is_local=is_local)
    if is_known is not None:
        places.wait(connection, is_known=is_known)
    return connection


def test_the_longest_idle_connection_is_dropped_first(places):
    old = [enter(places, is_known=False) for _ in range(6)]
    new = [enter(places, is_known=False) for _ in range(3)]

    assert [each.is_dropped for each in old] == [True] * 3 + [False] * 3
    assert not any(each.is_dropped for each in new)
    assert len(places) == 6


def test_those_that_showed_a_token_go_last(places):
    known = [enter(places, is_known=True) for _ in range(3)]
    for _ in range(100):
        enter(places, is_known=False)
    assert not any(each.is_dropped for each in known)

    for _ in range(4):
        enter(places)
    assert [each.is_dropped for each in known] == [True, False, False]


def test_waiting_begins_anew_with_each_request(places):
    first, second = (enter(places, is_known=False) for _ in range(2))
    places.work(first)
    places.wait(first, is_known=False)
    for _ in range(5):
        enter(places)
    assert (first.is_dropped, second.is_dropped) == (False, True)


def test_nobody_whose_request_is_answered_is_cut_off(places):
    busy = [enter(places) for _ in range(6)]
    assert not places.enter(Connection(), is_local=False)
    assert not any(each.is_dropped for each in busy)


def test_some_places_are_for_this_machine(places):
    for _ in range(6):
        enter(places)
    own = [enter(places, is_local=True) for _ in range(2)]
    assert not places.enter(Connection(), is_local=True)
    for each in own:
        places.leave(each)
    assert not places.enter(Connection(), is_local=False)


def test_a_place_is_freed_once(places):
    connection = enter(places, is_known=False)
    for _ in range(2):
        places.leave(connection)
    places.wait(connection, is_known=True)  # told late
    assert len(places) == 0
    for _ in range(6):
        enter(places)
    assert not places.enter(Connection(), is_local=False)
