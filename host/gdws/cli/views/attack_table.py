"""Attacks on engines as a table on the terminal: the figures of the report."""

from __future__ import annotations

from rich.markup import escape

from gdws.cli.views.grid import print_grid
from gdws.cli.views.output import results
from gdws.results.report import Summary
from gdws.results.report.attacks import attacks


def print_attacks(summary: Summary) -> None:
    """Print what each engine withstood, setting by setting, then what that shows and the doubts."""
    table = attacks(summary.facts)
    if table is not None:
        print_grid(table, "attacked")
    results().print(f"[bold]{escape(summary.headline)}[/]")
    for doubt in summary.doubts:
        results().print(f"- {escape(doubt)}")
