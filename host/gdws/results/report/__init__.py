"""Reports on stored benchmark results: Markdown, HTML with plots, JSON and CSV."""

from __future__ import annotations

from gdws.results.report.write import FORMATS, Summary, render, summarise, write

__all__ = ["FORMATS", "Summary", "render", "summarise", "write"]
