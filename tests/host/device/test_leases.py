from __future__ import annotations

import threading

import httpx
import pytest

from gdws.device.client import DeviceClient
from gdws.device.leases import default_holder, renewing, take_lease
from gdws.errors import DeviceProtocolError, DeviceRefused
from gdws_contract.problems import Problem
from gdws_contract.rest import Health

LEASE = {"id": "l1", "holder": "ada", "since": "2026-01-02T03:04:05Z", "ttl_s": 0.03, "expires_in_s": 0.03}


class Device:
    """Answers as an agent; ``refusals`` is how often it is held by another."""

    def __init__(self, refusals: int = 0, revision: int = 1) -> None:
        self.refusals = refusals
        self.revision = revision
        self.asked: list[tuple[str, str, str | None]] = []
        self.renewed_often = threading.Event()

    def client(self) -> DeviceClient:
        return DeviceClient("http://device:8000", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/healthz":
            found = Health(agent_version="0.1.0", api_version=1, api_revision=self.revision, queued_jobs=0)
            return httpx.Response(200, json=found.model_dump())
        self.asked.append((request.method, request.url.path, request.headers.get("lease-id")))
        if self.refusals > 0:
            self.refusals -= 1
            problem = Problem(type="urn:gdws:problem:lease-held", title="Held", status=409, detail="bob holds it")
            return httpx.Response(409, json=problem.model_dump())
        if [method for method, _, _ in self.asked].count("PUT") == 4:
            self.renewed_often.set()
        return httpx.Response(200, json=LEASE)


def test_a_free_device_is_taken_at_once() -> None:
    device = Device()
    assert take_lease(device.client(), "ada", 60.0).id == "l1"
    assert device.asked == [("POST", "/lease", None)]


def test_waiting_for_a_lease_is_reported_once_and_succeeds() -> None:
    device, told = Device(refusals=3), []
    now = iter(range(100))
    lease = take_lease(
        device.client(),
        "ada",
        60.0,
        wait_s=50,
        on_wait=told.append,
        sleep=lambda seconds: None,
        clock=lambda: float(next(now)),
    )
    assert lease.holder == "ada"
    assert [error.message for error in told] == ["bob holds it"]


def test_waiting_ends() -> None:
    now = iter(range(100))
    with pytest.raises(DeviceRefused, match="bob holds it"):
        take_lease(
            Device(refusals=99).client(),
            "ada",
            60.0,
            wait_s=3,
            sleep=lambda seconds: None,
            clock=lambda: float(next(now)),
        )


def test_a_lease_is_renewed_again_and_again_within_the_context() -> None:
    device = Device()
    with renewing(device.client(), "l1"):
        assert device.renewed_often.wait(30)
    assert set(device.asked) == {("PUT", "/lease", "l1")}
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_without_a_lease_nothing_is_asked() -> None:
    device = Device()
    with renewing(device.client(), None):
        pass
    assert device.asked == []


def test_a_lease_that_is_not_in_force_is_told_before_anything_begins() -> None:
    with pytest.raises(DeviceRefused), renewing(Device(refusals=1).client(), "l1"):
        pytest.fail("it began")


def test_an_agent_without_leases_is_named() -> None:
    with pytest.raises(DeviceProtocolError, match="does not support leases"), renewing(
        Device(revision=0).client(), "l1"
    ):
        pytest.fail("it began")


def test_the_default_holder_is_printable_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "a\x1bd" * 100)
    assert default_holder().isprintable()
    assert len(default_holder()) <= 100
    monkeypatch.delenv("USER")
    monkeypatch.delenv("LOGNAME", raising=False)
    assert default_holder().startswith("somebody@")
