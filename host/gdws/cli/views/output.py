"""Output of commands: results to standard output, everything else to standard error.

Any text may come from a bundle or a device, so all of it is sanitised by :func:`gdws._util.visible_text.visible`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gdws._util.progress import SILENT, Progress, RichProgress
from gdws._util.visible_text import visible

#: Width of text for files and other programs, which has no terminal to fit.
_PLAIN_WIDTH = 200


class _Terminal(Console):
    """A console that prints each string as one line, without control characters or emoji for ``:words:``."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **{**options, "emoji": False})


def results() -> Console:
    """Standard output. Text is wrapped to the terminal, if there is one."""
    return _Terminal(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)


def errors() -> Console:
    """Standard error, for messages, progress bars and everything else that is not the result."""
    return _Terminal(stderr=True, highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """Print one line to standard output without wrapping: CI log readers take some lines as commands."""
    typer.echo(visible(text))


def print_plain(text: str) -> None:
    """Print text of several lines to standard output, without wrapping them."""
    for line in text.split("\n"):
        print_line(line)


def print_json(value: Any) -> None:
    """Print a value as JSON and nothing else, in ASCII, which every encoding contains."""
    json.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None, words: Sequence[str] = ()
) -> None:
    """Print a table; the first column and those in ``words`` are left-aligned, figures right-aligned."""
    table = Table(
        title=None if title is None else Text(visible(title)),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for index, column in enumerate(columns):
        is_text = index == 0 or column in words
        # Columns are never truncated, since a truncated figure is wrong; a narrow terminal wraps them.
        table.add_column(Text(visible(column)), justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    results().print(table)


@contextlib.contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """Progress bars on standard error, or nothing if ``quiet``."""
    if quiet:
        yield SILENT
        return
    with RichProgress() as progress:
        yield progress
