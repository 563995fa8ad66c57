import contextlib

import pytest

from gdws_agent.errors import LeaseHeld, LeaseNotHeld, RequestInvalid, StorageFull
from gdws_agent.jobs.lease import LeaseDesk, for_everybody
from gdws_agent.storage.database import Database
from gdws_contract.queueing import LeaseRequest

REQUEST = LeaseRequest(holder="ada", ttl_s=60, note="heat")


class Clock:
    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path / "agent.db")) as opened:
        yield opened


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(database, clock):
    return LeaseDesk(database, max_ttl_s=3_600, clock=clock)


def test_nobody_holds_a_new_device(desk):
    assert desk.current() is None


def test_a_lease_names_its_holder_and_its_time(desk, clock):
    lease = desk.take(REQUEST)
    clock.now_s += 15

    assert (lease.holder, lease.note, lease.ttl_s, lease.expires_in_s) == ("ada", "heat", 60, 60)
    assert desk.current() == lease.model_copy(update={"expires_in_s": 45.0})
    assert desk.check(lease.id).holder == "ada"


def test_the_public_view_of_a_lease_leaves_out_its_id(desk):
    lease = desk.take(REQUEST)
    shown = for_everybody(lease)

    assert shown is not None
    assert lease.id not in shown.model_dump_json()
    assert for_everybody(None) is None


def test_a_second_lease_is_refused(desk, clock):
    desk.take(REQUEST)
    clock.now_s += 20

    with pytest.raises(LeaseHeld, match="ada holds the device, for 40 s") as caught:
        desk.take(LeaseRequest(holder="bob"))

    assert caught.value.retry_after_s == 40


def test_it_ends_when_nobody_renews_it(desk, clock):
    lease = desk.take(REQUEST)
    clock.now_s += 60

    assert desk.current() is None
    for action in (desk.renew, desk.release, desk.check):
        with pytest.raises(LeaseNotHeld):
            action(lease.id)
    assert desk.take(LeaseRequest(holder="bob")).holder == "bob"


def test_renewing_a_lease_restarts_its_time(desk, clock):
    lease = desk.take(REQUEST)
    for _ in range(5):
        clock.now_s += 59
        assert desk.renew(lease.id).expires_in_s == 60

    assert desk.current().id == lease.id


def test_released_it_is_free_and_whoever_listens_is_told(desk):
    told = []
    desk.listen(lambda: told.append(desk.current()))
    lease = desk.take(REQUEST)

    desk.release(lease.id)

    assert told == [None]
    with pytest.raises(LeaseNotHeld):
        desk.release(lease.id)


def test_only_its_own_id_releases_it(desk):
    lease = desk.take(REQUEST)
    for wrong in ("", "nope", lease.id[:-1], "ä"):
        with pytest.raises(LeaseNotHeld):
            desk.release(wrong)

    assert desk.current() is not None


def test_it_can_be_taken_away(desk):
    lease = desk.take(REQUEST)
    desk.force_release()
    desk.force_release()

    assert desk.current() is None
    with pytest.raises(LeaseNotHeld):
        desk.renew(lease.id)


def test_it_cannot_be_asked_for_longer_than_the_settings_allow(desk):
    with pytest.raises(RequestInvalid, match="3600 s") as caught:
        desk.take(LeaseRequest(holder="ada", ttl_s=3_601))
    assert caught.value.field == "ttl_s"


def test_a_new_agent_takes_it_up_with_its_whole_time(desk, database):
    lease = desk.take(REQUEST)
    later = Clock()
    later.now_s = 5.0  # a board that was started again

    again = LeaseDesk(database, max_ttl_s=3_600, clock=later)

    assert again.current() == lease
    later.now_s += 60
    assert again.current() is None
    assert LeaseDesk(database, max_ttl_s=3_600, clock=later).current() is None


def test_a_full_disk_gives_no_lease_and_keeps_none(desk, database, monkeypatch):
    lease = desk.take(REQUEST)

    @contextlib.contextmanager
    def refuse():
        raise StorageFull("full")
        yield

    monkeypatch.setattr(database, "writing", refuse)
    desk.release(lease.id)

    assert desk.current() is None
    with pytest.raises(StorageFull):
        desk.take(REQUEST)
    assert desk.current() is None
