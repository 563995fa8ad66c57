from gdws_agent.jobs.events import JobEvent, JobEvents


def test_all_subscribers_are_told_whatever_one_of_them_does(caplog):
    changes, told = JobEvents(), []

    def fail(change):
        raise RuntimeError("no")

    changes.subscribe(told.append)
    changes.subscribe(fail)
    changes.subscribe(told.append)
    changes.tell(JobEvent("a", state="done"))

    assert told == [JobEvent("a", state="done")] * 2
    assert "job a" in caplog.text
