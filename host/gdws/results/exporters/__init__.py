"""Results in the formats of tools that keep the history of benchmarks."""

from __future__ import annotations

from gdws.results.exporters.write import Direction, Format, export

__all__ = ["Direction", "Format", "export"]
