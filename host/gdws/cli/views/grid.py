"""A table of the report on the terminal."""

from __future__ import annotations

from gdws.cli.views.output import print_table, results
from gdws.results.report.tables import Table


def print_grid(table: Table, name: str) -> None:
    """Print each group of ``table`` below ``name`` and its heading; a row without figures shows its reason."""
    count = len(table.columns) + 1
    for heading, rows in table.groups:
        lines = [[row.name, *(row.cells or (row.reason or "",))] for row in rows]
        filled = [[*line, *[""] * (count - len(line))] for line in lines]
        print_table([table.first, *table.columns], filled, title=f"{name}, {heading}")
        results().print()
