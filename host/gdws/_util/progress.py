"""Progress of long work: a protocol, a progress bar on the terminal, and a silent implementation."""

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
    """Long work calls ``start`` once, then ``advance`` repeatedly."""

    def start(self, total: int, description: str) -> None:
        """Start a task of ``total`` units."""

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Report ``n`` more units as done; ``figures`` are current values to display, by name."""


class SilentProgress:
    """Reports nothing."""

    def start(self, total: int, description: str) -> None:
        """Does nothing."""

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Does nothing."""


class RichProgress:
    """A progress bar for each task with its figures and the time left, on standard error.

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
        """Add a bar below the previous ones."""
        self._task = self._bar.add_task(visible(description), total=total, figures="")

    def advance(self, n: int = 1, **figures: float | str) -> None:
        """Advance the newest bar, showing only the given figures."""
        if self._task is None:
            return
        if figures:
            text = "  ".join(f"{name} {_short(value)}" for name, value in figures.items())
            self._bar.update(self._task, figures=text)
        self._bar.advance(self._task, n)


SILENT = SilentProgress()


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
