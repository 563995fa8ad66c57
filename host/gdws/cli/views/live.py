"""Shows the progress of a benchmark on standard error."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from gdws._util.visible_text import visible
from gdws.cli.views.output import errors
from gdws_contract.findings import text
from gdws_contract.findings.cells import why_untimed
from gdws_contract.rest import FINAL_STATES, Cell, Job


class LiveBenchmark:
    """A progress bar of the job's cells with the time left, one of the current rounds, and a line for each cell.

    ``quiet`` shows nothing. ``cells`` counts the finished cells.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=errors(),
            disable=quiet,
        )
        self._task = self._bar.add_task("starting", total=None, ends_at_s=None)
        self._rounds = self._bar.add_task("rounds", total=None, visible=False, ends_at_s=None)
        self.cells = 0

    def __enter__(self) -> LiveBenchmark:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def uploading(self, size_bytes: int) -> None:
        """Announce the upload of a bundle of ``size_bytes``."""
        self._bar.update(self._task, description="uploading the bundle", total=size_bytes)

    def sent(self, count_bytes: int) -> None:
        """Count bytes as uploaded."""
        self._bar.advance(self._task, count_bytes)

    def show(self, job: Job) -> None:
        """Show the current state of the job."""
        ended = job.cells[self.cells :]
        self.cells = len(job.cells)
        for cell in ended:
            if not self._bar.disable:
                self._bar.console.print(summary(cell), markup=False)
        self._bar.update(
            self._task,
            description=visible(stage(job)),
            total=job.progress.cells_total,
            completed=job.progress.cells_finished,
            ends_at_s=_end(job),
        )
        self._bar.update(self._rounds, **_within_cell(job))


class _TimeLeft(ProgressColumn):
    """The time left by the agent's estimate, counted down between two updates."""

    def render(self, task: Task) -> Text:
        ends_at_s: float | None = task.fields["ends_at_s"]
        if ends_at_s is None:
            return Text("")
        return Text(f"{_clock_time(max(0.0, ends_at_s - time.monotonic()))} left", style="progress.remaining")


def _end(job: Job) -> float | None:
    """When the job is expected to end, by ``time.monotonic``; None if unknown."""
    if job.state in FINAL_STATES or job.estimate is None or job.estimate.ends_in_s is None:
        return None
    return time.monotonic() + job.estimate.ends_in_s


def _within_cell(job: Job) -> dict[str, Any]:
    """What the second bar shows: the rounds that are over, which the agent counts from 1, or the images attacked."""
    attack, rounds = job.progress.attack, job.progress.rounds
    if job.state == "running" and attack is not None:
        ends_at_s = None if attack.left_s is None else time.monotonic() + attack.left_s
        shown = {"description": "images", "total": attack.images_total, "completed": attack.images}
        return {"visible": True, "ends_at_s": ends_at_s, **shown}
    if job.state == "running" and rounds is not None:
        completed = max(0, (job.progress.round or 1) - 1)
        return {"visible": True, "ends_at_s": None, "description": "rounds", "total": rounds, "completed": completed}
    return {"visible": False, "ends_at_s": None}


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def stage(job: Job) -> str:
    """What the agent is doing, e.g. ``measure mean-rank-3, batch 8, round 4 of 10``."""
    if job.state == "queued":
        ahead = "" if not job.queue_position else f", {text.plural(job.queue_position, 'job')} ahead"
        held = ", another client holds the device" if job.waits_for_lease else ""
        return f"queued{ahead}{held}"
    progress = job.progress
    if job.state != "running" or progress.stage is None:
        return job.state
    words = [progress.stage if progress.cell is None else f"{progress.stage} {progress.cell.variant}"]
    if progress.cell is not None:
        words.append(f"batch {progress.cell.batch_size}")
        if progress.cell.power_mode is not None:
            words.append(f"power mode {progress.cell.power_mode}")
    if progress.round is not None and progress.rounds is not None:
        words.append(f"round {progress.round} of {progress.rounds}")
    if progress.attack is not None:
        words.append(f"{text.whole(progress.attack.correct)} of {text.plural(progress.attack.images, 'image')} correct")
        words.append(f"{text.whole(progress.attack.queries)} queries")
    return ", ".join(words)


def summary(cell: Cell) -> str:
    """A finished cell in one line."""
    key = cell.key
    mode = "" if key.power_mode is None else f", power mode {key.power_mode}"
    what = f"{key.variant}, {key.backend}, {key.precision}, batch {key.batch_size}{mode}"
    if cell.latency is not None:
        return f"{what}: {text.milliseconds(cell.latency.median_ms)} median, {text.significant(cell.fps)} FPS"
    if cell.profile is not None:
        layers = text.plural(len(cell.profile.layers), "layer")
        return f"{what}: {layers}, {text.milliseconds(cell.profile.total_ms)} in total"
    if cell.attack is not None:
        found = cell.attack.robust
        interval = f"95 % interval {text.percent_interval(found)}"
        return f"{what}: {found.successes} of {text.plural(found.count, 'image')} withstand the attack ({interval})"
    failed_parity = cell.error is None and cell.parity is not None and not cell.parity.passed
    return f"{what}: {'failed parity, ' if failed_parity else ''}{why_untimed(cell)}"
