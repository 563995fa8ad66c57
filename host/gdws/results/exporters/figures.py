"""What the exports have in common: the cells that have figures, and what names them from commit to commit."""

from __future__ import annotations

from collections.abc import Iterator

from gdws.errors import ResultError
from gdws_contract.findings.intervals import IntervalEstimate, geometric_mean
from gdws_contract.rest import BenchmarkResult, Cell


def measured_cells(result: BenchmarkResult) -> list[Cell]:
    """The cells that were timed or attacked. Raises :class:`ResultError` if there are none."""
    cells = [cell for cell in result.job.cells if cell.latency is not None or cell.attack is not None]
    if not cells:
        raise ResultError("the result has no times to export", hint="gdws report tells why each cell has none")
    return cells


def path_of(result: BenchmarkResult, cell: Cell) -> str:
    """A name that stays from commit to commit, e.g. ``mnist/dense/onnxruntime/fp32/batch-1``."""
    return "/".join([result.manifest.name, *_words(cell)])


def typical_latency(cell: Cell) -> IntervalEstimate | None:
    """The geometric mean of the medians of the windows, in milliseconds, with its 95 % interval over the windows.

    None for fewer than two windows.
    """
    return geometric_mean([window.median_ms for window in cell.rounds])


def _words(cell: Cell) -> Iterator[str]:
    key = cell.key
    yield from (key.variant, key.backend, key.precision, f"batch-{key.batch_size}")
    if key.power_mode is not None:
        yield f"power-mode-{key.power_mode}"
