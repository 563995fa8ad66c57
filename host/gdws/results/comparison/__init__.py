"""Two stored results side by side: cell by cell, how much faster or slower, and what else was not the same."""

from __future__ import annotations

from gdws.results.comparison.compare import CellComparison, Comparison, Difference, Side, compare

__all__ = ["CellComparison", "Comparison", "Difference", "Side", "compare"]
