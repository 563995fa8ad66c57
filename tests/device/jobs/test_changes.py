from __future__ import annotations

from gdws_agent.jobs.changes import Change, Changes


def test_all_subscribers_are_told_whatever_one_of_them_does(caplog):
    changes, told = Changes(), []

    def fail(change):
        raise RuntimeError("no")

    changes.subscribe(told.append)
    changes.subscribe(fail)
    changes.subscribe(told.append)
    changes.tell(Change("a", state="done"))

    assert told == [Change("a", state="done")] * 2
    assert "job a" in caplog.text
