import json
import os
import platform
import signal
import subprocess
import sys

import pytest

from gdws_agent.__main__ import main as agent_main
from gdws_agent.first_run import command
from gdws_agent.first_run.catalogue import CHECKS, Check
from gdws_agent.first_run.command import main, run
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Figure, Outcome, Report
from gdws_agent.settings import Settings, variable_name
from support.agents import PATIENCE_S, FakeWorker, eventually, lives
from support.first_run import canned_bench

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)
    monkeypatch.setenv("GDWS_AGENT_DATA_DIR", str(tmp_path / "data"))


def check(outcome, name="one"):
    def look(bench):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return Check(name, f"Title of {name}", look, 60)


OK = Outcome(status="ok", summary="fine")


def read(folder):
    return Report.model_validate_json((folder / "first-run.json").read_text())


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (OK, 0),
        (Outcome(status="warning", summary="so so"), 0),
        (CheckSkipped("not here"), 0),
        (CheckFailed("bad"), 1),
        (ZeroDivisionError(), 1),
        (KeyboardInterrupt(), 130),
        (command.Terminated(), 143),
    ],
)
def test_the_exit_code_tells_the_worst(tmp_path, outcome, code):
    out = tmp_path / "out"
    assert run(canned_bench(tmp_path), [check(OK, "first"), check(outcome)], out) == code
    report = read(out)
    assert [each.name for each in report.checks] == ["first", "one"]
    assert report.complete == (code < 2)
    assert "<title>First run: " in (out / "first-run.html").read_text()


def test_results_and_advice_are_told_as_they_come(tmp_path, capsys):
    run(canned_bench(tmp_path), [check(OK, "first"), check(CheckFailed("bad", "mend it"))], tmp_path / "out")
    said = capsys.readouterr()
    lines = [line.partition(" ")[2] for line in said.err.splitlines()]
    assert lines == [
        "[1/2] Title of first ...",
        "    ok: fine",
        "[2/2] Title of one ...",
        "    failed: bad",
        "      - mend it",
        "1 failed, 0 warning, 1 ok, 0 skipped",
    ]
    assert said.out.split() == [str(tmp_path / "out/first-run.html"), str(tmp_path / "out/first-run.json")]


def test_nothing_that_is_written_or_said_holds_a_secret(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(platform, "node", lambda: "tunnel-cam-7")
    token = "a-token-of-more-than-twenty-letters"
    bench = canned_bench(tmp_path, environment={"GDWS_AGENT_TOKEN": token, "USER": "mustermann"})
    text = f"tunnel-cam-7 mustermann {token} 192.168.1.17 48:b0:2d:12:ab:cd /home/erika"
    outcome = Outcome(
        status="warning", summary=text, figures=[Figure(name=text, value=text)], advice=[text], log=[text]
    )
    out = tmp_path / "out"
    run(bench, [check(outcome)], out)
    written = (out / "first-run.json").read_text() + (out / "first-run.html").read_text() + capsys.readouterr().err
    for secret in text.replace("/home/", "").split():
        assert secret not in written
    assert written.count("[host name]") >= 9


def test_what_there_is_is_written_after_each_check(tmp_path):
    out = tmp_path / "out"
    seen = []
    second = Check("second", "Second", lambda bench: seen.append(len(read(out).checks)) or OK, 60)
    run(canned_bench(tmp_path), [check(OK), second], out)
    assert seen == [1]


def test_the_scratch_folder_ends_with_the_run(tmp_path):
    bench = canned_bench(tmp_path)
    look = Check("look", "Look", lambda bench: Outcome(status="ok", summary=f"{len(bench.models)}"), 60)
    run(bench, [look], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first-run.html", "first-run.json"]


def test_what_is_in_the_folder_already_stays(tmp_path):
    mine = tmp_path / "out/scratch/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    look = Check("look", "Look", lambda bench: Outcome(status="ok", summary=f"{len(bench.models)}"), 60)
    run(canned_bench(tmp_path), [look], tmp_path / "out")
    assert mine.read_text() == "mine"


def test_it_is_a_command_of_the_agent(capsys):
    assert agent_main(["first-run", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [each.name for each in CHECKS]
    assert all(f"at most {each.limit_s:.0f} s" in line for each, line in zip(CHECKS, listed))


def test_the_help_tells_every_exit_code(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out.partition("exit codes:")[2]
    assert [line.split()[0] for line in text.splitlines() if line.strip()][:6] == ["0", "1", "2", "4", "70", "130"]


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--only", "stak"], "no check 'stak'"), (["--port", "many"], "--port"), (["--skip", "device"], "skipped")],
)
def test_a_wrong_option_ends_it_before_it_begins(tmp_path, capsys, options, words):
    assert main([*options, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_ends_it(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--only", "stack", "--out", str(tmp_path / "file" / "out")]) == 4
    assert "--out" in capsys.readouterr().err


def test_an_error_of_its_own_is_told_from_a_check_that_failed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "render", lambda report: report.nothing)
    assert main(["--only", "doctor", "--out", str(tmp_path)]) == 70
    assert "Traceback" in capsys.readouterr().err


_SCRIPT = """
import json, sys
from pathlib import Path
from gdws_agent.first_run.catalogue import select
from gdws_agent.first_run.command import run
from support.agents import available
from support.first_run import real_bench
folder = Path(sys.argv[1])
bench = real_bench(folder, worker_command=json.loads(sys.argv[2]), backends=[available("onnxruntime")])
sys.exit(run(bench, select(["profile", "layouts"]), folder / "out"))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_there_is_and_nothing_that_measures(tmp_path, number, code):
    worker = FakeWorker(tmp_path / "worker", {"dense": "hang-with-child"})
    arguments = [sys.executable, "-c", _SCRIPT, str(tmp_path), json.dumps(worker.command)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # A shell that started the tests in the background would have had SIGINT ignored.
    process = subprocess.Popen(
        arguments, env=environment, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    worker.wait_until_reached()
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == code
    report = read(tmp_path / "out")
    assert {each.name: each.status for each in report.checks} == {
        "device": "ok",
        "profile": "skipped",
        "layouts": "skipped",
    }
    assert not report.complete
    child = int(worker.child_file.read_text())
    eventually(lambda: not lives(child))
    assert not list((tmp_path / "out").glob("scratch*"))
