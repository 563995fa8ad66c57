import pytest

from gdws_agent.errors import ClocksNotHeld
from gdws_agent.first_run.catalogue import Check
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Outcome
from gdws_agent.first_run.runner import Run
from support.first_run import canned_bench


def check(name, run, needs=(), limit_s=60):
    return Check(name, f"Title of {name}", run, limit_s, needs)


def raising(error):
    def run(bench):
        raise error

    return run


def fine(bench):
    return Outcome(status="ok", summary="fine")


def results(tmp_path, *checks):
    made = Run(canned_bench(tmp_path), checks)
    made.run()
    report = made.report()
    assert report.complete
    return {each.name: each for each in report.checks}


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    found = results(
        tmp_path,
        check("a", raising(CheckFailed("no good", "do this"))),
        check("b", raising(CheckSkipped("not here", "get it"))),
        check("c", fine),
    )
    assert [(each.status, each.summary, each.advice) for each in found.values()] == [
        ("failed", "no good", ["do this"]),
        ("skipped", "not here", ["get it"]),
        ("ok", "fine", []),
    ]


def test_an_error_of_the_agent_gives_its_own_hint(tmp_path):
    found = results(tmp_path, check("a", raising(ClocksNotHeld("they moved", hint="stop the other"))))["a"]
    assert (found.status, found.summary, found.advice) == ("failed", "they moved", ["stop the other"])


def test_what_nobody_foresaw_is_a_failure_with_its_traceback(tmp_path):
    found = results(tmp_path, check("a", raising(ZeroDivisionError("by zero"))), check("b", fine))
    assert (found["a"].status, found["a"].summary) == ("failed", "ZeroDivisionError: by zero")
    assert found["a"].log[0] == "Traceback (most recent call last):"
    assert "raise error" in "\n".join(found["a"].log)
    assert found["b"].status == "ok"


def test_a_check_is_skipped_where_one_that_it_needs_failed_and_only_there(tmp_path):
    found = results(
        tmp_path,
        check("bad", raising(CheckFailed("no"))),
        check("absent", raising(CheckSkipped("no"))),
        check("c", fine, needs=("bad",)),
        check("d", fine, needs=("absent",)),
    )
    assert (found["c"].status, found["c"].summary) == ("skipped", "it needs the check bad, which failed")
    assert found["d"].status == "ok"


def test_each_check_has_its_own_time(tmp_path):
    seen = []
    results(
        tmp_path,
        check("a", lambda bench: seen.append(bench.deadline.limit_s) or fine(bench), limit_s=7),
        check("b", lambda bench: seen.append(bench.deadline.limit_s) or fine(bench), limit_s=9),
    )
    assert seen == [7, 9]


def test_an_interrupt_leaves_what_there_is_and_skips_the_rest(tmp_path):
    checks = [check("a", fine), check("b", raising(KeyboardInterrupt())), check("c", fine)]
    made = Run(canned_bench(tmp_path), checks)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    report = made.report()
    assert not report.complete
    assert [(each.name, each.status) for each in report.checks] == [("a", "ok"), ("b", "skipped"), ("c", "skipped")]
    assert "interrupted" in report.checks[1].summary


def test_the_report_is_not_complete_before_the_last_check(tmp_path):
    complete = []
    made = Run(
        canned_bench(tmp_path),
        [check("a", fine), check("b", fine)],
        on_end=lambda each: complete.append(made.report().complete),
    )
    made.run()
    assert complete == [False, True]
