"""How commands end that met what nobody foresaw: never with 0 or 1, which are answers."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gdws.cli.entry import app
from gdws.errors import DeviceError, ExitCode, GdwsError
from gdws_contract.errors import BundleCorrupt


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class NoException(BaseException):
    pass


FORESEEN: dict[BaseException, int] = {
    GdwsError("no"): 2,
    BundleCorrupt("damaged", field="manifest"): 2,
    DeviceError("away", url="http://x"): 3,
    FileNotFoundError(errno.ENOENT, "No such file", "x"): 2,
    OSError(errno.ENOSPC, "No space left on device"): 2,
    KeyboardInterrupt(): 130,
}
UNFORESEEN: list[BaseException] = [
    TypeError("unsupported"), KeyError("x"), RecursionError(), MemoryError(), ImportError("libfoo.so: cannot open"),
    ModuleNotFoundError("socksio"), UnicodeEncodeError("latin-1", "–", 0, 1, "not in range"), AssertionError(),
    ValueError("\x1b[2J\nPASS"), httpx.InvalidURL("Invalid port"), EOFError(), StopIteration(), RuntimeError("[/red]"),
    typer.Abort(), SystemExit(0), SystemExit(1), SystemExit(None), SystemExit("no licence"), GeneratorExit(),
    Unprintable(), NoException("x"),
]  # fmt: skip


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command with the words that call it."""
    for name, each in command.commands.items():
        yield from leaves(each, (*path, name)) if hasattr(each, "commands") else [((*path, name), each)]


ROOT = typer.main.get_command(app)
LEAVES = dict(leaves(ROOT))


def ended_with(path: tuple[str, ...], error: BaseException) -> Any:
    """What becomes of the command called by ``path`` if its work raises ``error``."""

    def fail() -> None:
        raise error

    failing = patch.multiple(LEAVES[path], params=[], callback=fail)
    with failing, CliRunner().isolation() as streams:
        code = ROOT.main(list(path), standalone_mode=False)
        told = streams[1].getvalue().decode()
    return code, told


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(LEAVES)), st.sampled_from(UNFORESEEN))
@example(("gate",), SystemExit(0))
@example(("bench",), typer.Abort())
def test_no_unexpected_exception_is_an_answer_of_any_command(path: tuple[str, ...], error: BaseException) -> None:
    code, told = ended_with(path, error)
    assert code == ExitCode.UNFORESEEN
    assert told.startswith("error: unexpected")
    assert "\x1b" not in told
    assert "\nPASS" not in told


@pytest.mark.parametrize(("error", "code"), FORESEEN.items(), ids=lambda each: type(each).__name__)
def test_what_is_foreseen_has_its_code(error: BaseException, code: int) -> None:
    assert ended_with(("gate",), error)[0] == code


def test_what_is_unexpected_says_where_and_that_it_is_no_verdict() -> None:
    code, told = ended_with(("gate",), TypeError("unsupported"))
    assert code == 70
    assert "error: unexpected TypeError: unsupported\n" in told
    assert "test_failures.py" in told
    assert "in fail" in told
    assert "not a result" in told


def test_an_answer_stays_one() -> None:
    for code in (0, 1, 2, 3):
        assert ended_with(("gate",), typer.Exit(code)) == (code, "")


def test_debug_shows_the_traceback_and_keeps_the_code() -> None:
    found = CliRunner().invoke(app, ["--debug", "report", "absent.json"])
    assert found.exit_code == 2
    assert "Traceback" in found.stderr
    assert "FileNotFoundError" in found.stderr


@pytest.mark.parametrize("module", ["typer", "numpy", "pydantic"])
def test_an_import_that_fails_is_no_answer(module: str) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; from gdws.cli.entry import main; main()"
    ended = subprocess.run([sys.executable, "-c", script, "gate", "x"], capture_output=True, text=True)
    assert ended.returncode == ExitCode.UNFORESEEN, ended.stderr
    assert module in ended.stderr


def test_every_code_is_told_where_codes_are_listed() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    codes = list(ExitCode)
    for code in codes:
        assert f"\n    {code:<3}  " in shown
