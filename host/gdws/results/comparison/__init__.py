"""Two stored results side by side: cell by cell, how much faster or slower, and what else was not the same."""

from __future__ import annotations

from gdws.errors import ResultError
from gdws_contract.findings import comparison
from gdws_contract.findings.comparison import Comparison, Run
from gdws_contract.rest import BenchmarkResult

__all__ = ["Comparison", "compare"]


def compare(a: BenchmarkResult, b: BenchmarkResult, *, source_a: str, source_b: str) -> Comparison:
    """``b`` against ``a``, in the order of the cells of ``a``.

    Raises :class:`ResultError` if they have no cell in common.
    """
    found = comparison.compare(_run(a, source_a), _run(b, source_b))
    if not found.cells and not found.profiles:
        raise ResultError(
            f"{source_a} and {source_b} have no cell in common",
            hint="cells are matched by network, backend, precision, batch size and power mode: measure both alike; two "
            "profiles of one network each are always compared",
        )
    return found


def _run(result: BenchmarkResult, source: str) -> Run:
    return Run(source, result.job, result.device, result.manifest, result.partial)
