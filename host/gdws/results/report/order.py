"""The tables of a report, in their order."""

from __future__ import annotations

from gdws.results.report.attacks import attacks
from gdws.results.report.figures import Facts
from gdws.results.report.open_loop import open_loop_tables
from gdws.results.report.tables import Table, device_tables


def report_tables(facts: Facts) -> tuple[Table, ...]:
    """All tables that have something to show, but for those of single layers."""
    attacked = attacks(facts)
    return (*(() if attacked is None else (attacked,)), *device_tables(facts), *open_loop_tables(facts))
