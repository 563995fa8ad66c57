"""Several gates at the same time, and what an interrupt does to them."""

from __future__ import annotations

import signal
import threading

import pytest

from gdws.gate import side_by_side
from gdws.gate.side_by_side import run_all


class Stoppable:
    """Stands in for a session: runs until it is stopped."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._end = threading.Event()

    def stop(self) -> None:
        self._end.set()

    def work(self) -> str:
        self.began.set()
        assert self._end.wait(60)
        return "stopped"


def test_all_run_at_the_same_time_and_keep_their_order() -> None:
    meet = threading.Barrier(3, timeout=60)

    def work(name: str) -> str:
        meet.wait()
        return name

    found, interrupt = run_all([lambda name=name: work(name) for name in "abc"], [])  # type: ignore[misc]
    assert (found, interrupt) == (["a", "b", "c"], None)


def test_an_interrupt_stops_every_session_and_keeps_what_each_has(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = [Stoppable(), Stoppable()]
    waits = []

    def interrupted_once(futures: object) -> None:
        waits.append(futures)
        if len(waits) == 1:
            for session in sessions:
                assert session.began.wait(60)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(side_by_side, "wait", interrupted_once)
    found, interrupt = run_all([each.work for each in sessions], sessions)  # type: ignore[arg-type]
    assert found == ["stopped", "stopped"]
    assert isinstance(interrupt, KeyboardInterrupt)
    assert len(waits) == 2


def test_an_exception_is_raised_after_all_sessions_have_ended() -> None:
    done = threading.Event()

    def fail() -> None:
        assert done.wait(60)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        run_all([fail, done.set], [])
