"""Turns errors into messages on the terminal and exit codes."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from gdws.cli.views.notes import warnings_as_notes
from gdws.cli.views.output import errors
from gdws.errors import ExitCode, GdwsError
from gdws_contract.errors import ContractError

#: Usage errors of typer: click's class, or that of the copy of click in newer releases of typer.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]
_FORESEEN = (GdwsError, ContractError, OSError)
#: How many of the last calls are shown for an unexpected error.
_CALLS_SHOWN = 6


class Commands(TyperGroup):
    """Runs a command and turns whatever it raises into a message and an exit code.

    No error ends with 0 or 1, which are results. A command sets these itself, by ``typer.Exit``.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Exit with the code; if not standalone, return it, or None if the command set none."""
        code: int | None
        try:
            with warnings_as_notes():
                ended = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            code = ended if isinstance(ended, int) else None
        except _UsageError as error:
            error.show()
            code = ExitCode.BAD_INPUT
        except BaseException as error:  # also SystemExit of a library, which must not look like a result
            code = report(error)
        if standalone_mode:
            sys.exit(ExitCode.DONE if code is None else code)
        return code

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, _UsageError):
            raise
        except BaseException as error:
            raise typer.Exit(report(error, debug=bool((ctx.obj or {}).get("debug")))) from None


def report(error: BaseException, *, debug: bool = False) -> int:
    """Print ``error`` to standard error, with its traceback if ``debug``, and return its exit code."""
    try:
        code = _report(error)
        if debug:
            traceback.print_exception(error)
    except Exception as further:  # e.g. there is no memory to format a message
        print(f"error: unexpected {type(error).__name__}, then {type(further).__name__}", file=sys.stderr, flush=True)
        return ExitCode.UNFORESEEN
    return code


def _report(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        errors().print("interrupted")
        return ExitCode.INTERRUPTED
    if isinstance(error, _FORESEEN):
        return show(error)
    show_unexpected(error)
    return ExitCode.UNFORESEEN


def show(error: Exception) -> int:
    """Print ``error`` to standard error, with its field and hint, and return its exit code."""
    message, hint = explain(error) if isinstance(error, OSError) else (_message(error), getattr(error, "hint", None))
    field = getattr(error, "field", None) or getattr(error, "layer", None)
    _tell("[bold red]error:[/]", message)
    if field and field not in message:
        _tell("[bold]field:[/]", field)
    if hint:
        _tell("[bold]hint:[/] ", hint)
    return getattr(error, "exit_code", ExitCode.BAD_INPUT)


def show_unexpected(error: BaseException) -> None:
    """Print an unexpected error to standard error, with the last calls that led to it."""
    said = f": {error}" if str(error) else ""
    calls = traceback.extract_tb(error.__traceback__)[-_CALLS_SHOWN:]
    where = [f"{call.filename}:{call.lineno} in {call.name}" for call in calls]
    _tell("[bold red]error:[/]", "\n".join([f"unexpected {type(error).__name__}{said}", *where]))
    hint = "this is a bug in gdws or a problem of its environment, not a result; see gdws --debug for the traceback"
    _tell("[bold]hint:[/] ", hint)


def explain(error: OSError) -> tuple[str, str | None]:
    """The message and hint for an error with a file."""
    what = error.strerror or str(error)
    message = f"{error.filename}: {what}" if error.filename else what
    hints = {
        errno.ENOSPC: "free some space and run it again; existing files are unchanged",
        errno.EDQUOT: "your quota is used up; free some space and run it again",
        errno.ENOENT: "check the path",
        errno.EACCES: "you have no permission for this file; choose another or change its permissions",
        errno.EROFS: "choose a folder that can be written",
        errno.EISDIR: "a file is needed here, not a folder",
    }
    return message, None if error.errno is None else hints.get(error.errno)


def _message(error: Exception) -> str:
    return str(getattr(error, "message", error))


def _tell(label: str, text: str) -> None:
    """Print ``text`` after ``label``, with further lines indented so that none looks like a message of its own."""
    first, *others = text.splitlines() or [""]
    errors().print(f"{label} {escape(first)}")
    for line in others:
        errors().print(f"       {line}", markup=False)
