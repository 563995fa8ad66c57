import io
import json
import logging
import threading

import pytest

from gdws_agent import logs
from gdws_agent.jobs.events import JobEvent
from gdws_agent.logs import JsonLines, TextLines, cell_in_words, track_running_job
from support.agents import FakeWorker, agent, cell, resolved, until_final
from support.bundles import tiny_bundle

KEY = cell("gdws").key


@pytest.fixture
def written():
    """Return a logger and what it wrote, under either form."""
    made = []

    def make(formatter):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger = logging.Logger("gdws_agent.test")
        logger.addHandler(handler)
        made.append(handler)
        return logger, lambda: stream.getvalue().splitlines()

    yield make
    for handler in made:
        handler.close()


@pytest.fixture(autouse=True)
def _no_job():
    yield
    logs._running.job_id = logs._running.cell = None


def test_a_line_of_the_thread_that_runs_a_job_names_job_and_cell(written):
    logger, lines = written(JsonLines())
    track_running_job(JobEvent("a1", state="running"))
    logger.info("begun")
    track_running_job(JobEvent("a1", progress={"cell": KEY, "stage": "build"}))
    logger.info("building")
    track_running_job(JobEvent("b2", state="queued"))
    logger.info("still")
    other = threading.Thread(target=logger.info, args=("elsewhere",))
    other.start()
    other.join()
    track_running_job(JobEvent("a1", state="done"))
    logger.info("over")

    found = [json.loads(line) for line in lines()]
    assert [(line.get("job_id"), line.get("cell")) for line in found] == [
        ("a1", None),
        ("a1", cell_in_words(KEY)),
        ("a1", cell_in_words(KEY)),
        (None, None),
        (None, None),
    ]
    assert cell_in_words(KEY) == "gdws/onnxruntime/fp32/1"


def test_a_message_about_a_job_gives_its_id(written):
    logger, lines = written(JsonLines())
    logger.info("job %s: queued", "a1")
    assert json.loads(lines()[0])["job_id"] == "a1"


def test_json_lines_hold_what_programs_need(written):
    logger, lines = written(JsonLines())
    logger.warning("two\nlines", extra={"request": {"status": 200}})
    try:
        raise ValueError("what")
    except ValueError:
        logger.exception("failed")

    first, second = (json.loads(line) for line in lines())
    assert (first["level"], first["logger"], first["message"]) == ("warning", "gdws_agent.test", "two\nlines")
    assert first["request"] == {"status": 200}
    assert first["time"].endswith("+00:00")
    assert "ValueError: what" in second["error"]


def test_text_lines_end_with_what_the_message_does_not_say(written):
    logger, lines = written(TextLines())
    track_running_job(JobEvent("a1", state="running"))
    track_running_job(JobEvent("a1", progress={"cell": KEY}))
    logger.info("job a1: known")
    logger.info("clocks are set")

    assert lines()[0].endswith("INFO job a1: known cell=gdws/onnxruntime/fp32/1")
    assert lines()[1].endswith("INFO clocks are set job=a1 cell=gdws/onnxruntime/fp32/1")


def test_a_message_cannot_forge_a_line_or_reach_the_terminal(written):
    logger, lines = written(TextLines())
    logger.info("GET %s", "/x\n2026-01-01 INFO all is well\x1b[2J")
    assert len(lines()) == 1
    assert "\x1b" not in lines()[0]


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_a_long_message_is_cut(written, formatter):
    logger, lines = written(formatter)
    logger.info("GET %s", "/" + "x" * 100_000)
    assert len(lines()[0]) < 2_500


def test_every_line_of_a_real_job_names_it(tmp_path, written, monkeypatch, caplog):
    caplog.set_level("INFO", logger="gdws_agent")
    with agent(tmp_path / "data", FakeWorker(tmp_path / "worker")) as service:
        service.jobs.events.subscribe(track_running_job)
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonLines())
        monkeypatch.setattr(logging.getLogger("gdws_agent"), "handlers", [handler])
        from gdws_agent.storage.library import check_bundle

        info, _ = service.library.add(check_bundle(tiny_bundle(tmp_path / "tiny.gdws", net="linear")))
        job = service.jobs.submit(resolved(info.id))
        service.jobs.start()
        until_final(service.jobs, job.id)
    about = [json.loads(line) for line in stream.getvalue().splitlines() if job.id in line]
    assert len(about) >= 4
    assert {line["job_id"] for line in about} == {job.id}
    ended = [line for line in about if "median" in line["message"]]
    assert {line["cell"] for line in ended} == {"dense/onnxruntime/fp32/1", "gdws/onnxruntime/fp32/1"}
