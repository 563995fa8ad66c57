"""Errors -> what a person reads on the terminal, and exit codes."""

from __future__ import annotations

import errno
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from gdws.algorithms.json_fields import PlanFormatError
from gdws.commands.output import errors
from gdws.errors import GdwsError
from gdws_contract.errors import ContractError

BAD_INPUT = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """Runs a command; an error that is foreseen becomes a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            errors().print("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (GdwsError, ContractError, PlanFormatError, OSError) as error:
            if isinstance(error, BrokenPipeError) or (ctx.obj or {}).get("debug"):
                raise
            raise typer.Exit(show(error)) from None


def show(error: Exception) -> int:
    """Print ``error`` to standard error, with the field and the hint that it has, and return its exit code."""
    message, hint = explain(error) if isinstance(error, OSError) else (_message(error), getattr(error, "hint", None))
    field = getattr(error, "field", None) or getattr(error, "layer", None)
    errors().print(f"[bold red]error:[/] {escape(message)}")
    if field and field not in message:
        errors().print(f"[bold]field:[/] {escape(field)}")
    if hint:
        errors().print(f"[bold]hint:[/]  {escape(hint)}")
    return getattr(error, "exit_code", BAD_INPUT)


def explain(error: OSError) -> tuple[str, str | None]:
    """What went wrong with a file, and what to do about it."""
    what = error.strerror or str(error)
    message = f"{error.filename}: {what}" if error.filename else what
    hints = {
        errno.ENOSPC: "free some space and run it again; files that were there are as they were",
        errno.EDQUOT: "your quota is used up; free some space and run it again",
        errno.ENOENT: "check the path",
        errno.EACCES: "you may not use this file; choose another or change its permissions",
        errno.EROFS: "choose a folder that can be written",
        errno.EISDIR: "a file is needed here, not a folder",
    }
    return message, None if error.errno is None else hints.get(error.errno)


def _message(error: Exception) -> str:
    return str(getattr(error, "message", error))
