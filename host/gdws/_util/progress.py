"""How long work tells how far it is: a protocol, a bar on the terminal, and silence."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBar

from gdws._util.visible_text import visible


class Progress(Protocol):
    """Long work calls ``start`` once, then ``advance`` as it goes on."""

    def start(self, total: int, description: str) -> None:
        """A new piece of work of ``total`` units begins."""

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """``n`` more units are done; ``figures`` are the newest values worth seeing, by name."""


class SilentProgress:
    """Says nothing."""

    def start(self, total: int, description: str) -> None:
        """Does nothing."""

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Does nothing."""


class RichProgress:
    """A bar per piece of work with its figures and the time left, on standard error.

    ::

        with RichProgress() as progress:
            evaluate(model, images, labels, progress=progress)
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bar = RichBar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> RichProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, total: int, description: str) -> None:
        """A new bar below the former ones."""
        self._task = self._bar.add_task(visible(description), total=total, figures="")

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Move the newest bar; figures not given keep their last values away from the line."""
        if self._task is None:
            return
        if figures:
            text = "  ".join(f"{name} {_short(value)}" for name, value in figures.items())
            self._bar.update(self._task, figures=text)
        self._bar.advance(self._task, n)


SILENT = SilentProgress()


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
