"""Prints the result of an optimisation."""

from __future__ import annotations

from pathlib import Path

from gdws.cli.views.output import errors, print_line, print_table
from gdws.results.optimisation import Optimisation
from gdws.results.report.optimisation import (
    energy_table,
    energy_words,
    headline,
    layer_table,
    network_table,
    residual_words,
)


def print_optimisation(found: Optimisation, out: Path) -> None:
    """Print the layers, the networks that were evaluated or delivered, the verdict and notes."""
    print_table(*layer_table(found), title=f"{found.network}, {found.setting}", words=("option", "why"))
    print_table(*network_table(found), title=f"networks, losses against dense ({found.goal})")
    if found.energy is not None:
        print_table(*energy_table(found.energy), title="energy against latency", words=("state",))
    print_line(headline(found))
    if (chosen := energy_words(found)) is not None:
        print_line(chosen)
    if (words := residual_words(found)) is not None:
        print_line(words)
    for doubt in found.doubts:
        errors().print(f"note: {doubt}", markup=False)
    print_line(f"{out}: id {found.bundle_id}")
