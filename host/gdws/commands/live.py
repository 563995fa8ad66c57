"""A benchmark as it goes on, on standard error."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gdws.commands.output import errors
from gdws.report import text
from gdws_contract.rest import Cell, Job


class LiveBenchmark:
    """One line that tells stage, cell and round, and a line for each cell that has ended.

    ``quiet`` shows nothing. ``cells`` counts those that have ended.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=errors(),
            disable=quiet,
        )
        self._task = self._bar.add_task("starting", total=None)
        self.cells = 0

    def __enter__(self) -> LiveBenchmark:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def uploading(self, size_bytes: int) -> None:
        """The bundle of ``size_bytes`` may be sent next."""
        self._bar.update(self._task, description="sending the bundle", total=size_bytes)

    def sent(self, count_bytes: int) -> None:
        """So many bytes more are sent."""
        self._bar.advance(self._task, count_bytes)

    def show(self, job: Job) -> None:
        """How the job stands now."""
        ended = job.cells[self.cells :]
        self.cells = len(job.cells)
        for cell in ended:
            if not self._bar.disable:
                self._bar.console.print(summary(cell), markup=False)
        self._bar.update(
            self._task,
            description=stage(job),
            total=job.progress.cells_total,
            completed=job.progress.cells_finished,
        )


def stage(job: Job) -> str:
    """What the agent does just now, e.g. ``measure mean-rank-3, batch 8, round 4 of 10``."""
    if job.state == "queued":
        ahead = "" if not job.queue_position else f", {text.plural(job.queue_position, 'job')} ahead"
        return f"queued{ahead}"
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
    return ", ".join(words)


def summary(cell: Cell) -> str:
    """A cell that has ended, in a line."""
    key = cell.key
    mode = "" if key.power_mode is None else f", power mode {key.power_mode}"
    what = f"{key.variant}, {key.backend}, {key.precision}, batch {key.batch_size}{mode}"
    if cell.latency is not None:
        return f"{what}: {text.milliseconds(cell.latency.median_ms)} median, {text.significant(cell.fps)} FPS"
    if cell.profile is not None:
        layers = text.plural(len(cell.profile.layers), "layer")
        return f"{what}: {layers}, {text.milliseconds(cell.profile.total_ms)} together"
    if cell.parity is not None and not cell.parity.passed:
        return f"{what}: failed parity ({'; '.join(cell.parity.reasons)})"
    if cell.error is not None:
        return f"{what}: {cell.error.detail or cell.error.title}"
    return f"{what}: {cell.state}"
