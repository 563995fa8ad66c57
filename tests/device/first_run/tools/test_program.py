import os
import sys

import pytest

from gdws_agent.first_run.deadline import Deadline
from gdws_agent.first_run.report import CheckFailed
from gdws_agent.first_run.tools.program import find_program, run_program
from support.agents import eventually, lives


def test_the_end_of_a_program_is_returned_with_what_it_printed():
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    finished = run_program([sys.executable, "-c", code], Deadline(60))
    assert finished.status == 3
    assert sorted(finished.tail()) == ["err", "out"]


def test_a_program_that_is_not_done_in_time_is_ended_with_its_children(tmp_path):
    path = tmp_path / "child"
    code = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(path)!r}, 'w').write(str(child.pid)); print('deep in a build', flush=True); child.wait()"
    )

    class Patient(Deadline):
        """Passes once the child is there."""

        @property
        def left_s(self):
            eventually(lambda: path.exists() and path.read_text() != "")
            return 0.1

    with pytest.raises(CheckFailed, match="within the 5 s") as caught:
        run_program([sys.executable, "-c", code], Patient(5))
    assert "deep in a build" in caught.value.outcome.log
    child = int(path.read_text())
    eventually(lambda: not lives(child))


def test_what_cannot_be_started_is_a_failure(tmp_path):
    with pytest.raises(CheckFailed, match="cannot be started"):
        run_program([str(tmp_path / "none")], Deadline(60))


def test_a_program_is_found_where_it_is_named_then_on_the_path_then_in_its_places(tmp_path, monkeypatch):
    named, on_path, placed = (tmp_path / name / "tool" for name in ("named", "path", "place"))
    for program in (named, on_path, placed):
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_program("tool", named) == named
    assert find_program("tool", None, [str(placed)]) == on_path
    monkeypatch.setenv("PATH", os.devnull)
    assert find_program("tool", None, [str(placed)]) == placed
    assert find_program("tool", None) is None
