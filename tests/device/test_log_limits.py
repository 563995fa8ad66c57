import io
import logging

import pytest

from gdws_agent.log_limits import BoundedHandler


class Log:
    """A log whose clock is told the time."""

    def __init__(self, burst=3):
        self.now_s = 0.0
        self._stream = io.StringIO()
        self._handler = BoundedHandler(self._stream, burst=burst, refill_s=10.0, clock=lambda: self.now_s)

    def write(self, name, message, *args, level=logging.WARNING, **extra):
        record = logging.LogRecord(name, level, __file__, 0, message, args, None)
        record.__dict__.update(extra)
        self._handler.handle(record)

    def lines(self):
        return self._stream.getvalue().splitlines()


@pytest.fixture
def log():
    return Log()


def test_of_many_alike_a_few_are_written_and_the_others_counted(log):
    for number in range(1_000):
        log.write("gdws_agent.api.guard", "refused %d", number)
    assert log.lines() == ["refused 0", "refused 1", "refused 2"]

    log.now_s = 10.0
    log.write("gdws_agent.api.guard", "refused %d", 1_000)
    assert log.lines()[3:] == [
        "997 more lines were left out of the kind 'gdws_agent.api.guard warning: refused %d'",
        "refused 1000",
    ]


def test_the_count_is_told_with_any_line_once_the_flood_is_over(log):
    for _ in range(5):
        log.write("uvicorn.error", "Invalid HTTP request received.")
    log.write("gdws_agent.jobs.queue", "job a: done")
    assert log.lines()[-1] == "job a: done"

    log.now_s = 10.0
    for _ in range(2):
        log.write("gdws_agent.jobs.queue", "job b: done")
    assert log.lines()[-3:] == [
        "2 more lines were left out of the kind 'uvicorn.error warning: ...'",
        "job b: done",
        "job b: done",
    ]


def test_kinds_do_not_hide_each_other(log):
    for name, extra in [
        ("gdws_agent.api.guard", {"kind": "a"}),
        ("gdws_agent.api.guard", {"kind": "b"}),
        ("asyncio", {}),
    ]:
        for _ in range(9):
            log.write(name, "the same", **extra)
    log.write("gdws_agent.api.guard", "the same", level=logging.ERROR, kind="a")
    assert len(log.lines()) == 10


def test_what_varies_in_a_librarys_message_makes_no_kinds(log):
    for number in range(1_000):
        log.write("asyncio", f"socket.accept() out of system resource\nsocket: {number}")
    assert len([line for line in log.lines() if "accept" in line]) == 3


def test_what_the_agent_does_itself_is_written_whole(log):
    for name in ("gdws_agent.jobs.run", "gdws_agent.storage.library", "gdws_agent", "gdws_agent.apiary", "root"):
        for _ in range(100):
            log.write(name, "a cell ended")
    assert len(log.lines()) == 500


def test_memory_is_bounded(log):
    for number in range(100_000):
        log.write("gdws_agent.api.guard", "refused", kind=str(number % 5_000))
    assert len(log._handler._left_out) <= 256
    assert len(log._handler._allowance) <= 256
