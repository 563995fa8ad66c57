"""Times layer by layer in FP16, and the actual precision of the engines."""

from __future__ import annotations

import re
from typing import List, Optional

from gdws_agent.first_run.bench import Bench
from gdws_agent.first_run.network import DENSE
from gdws_agent.first_run.report import CheckFailed, Figure, Outcome, Table, Value
from gdws_contract.measures import Build
from gdws_contract.profiles import LayerProfile, LayerTime, ProfileOptions
from gdws_contract.rest import Cell

#: The layout whose gather may cost changes of format around it.
FORM = "gather"
_LONGEST = 12
_ITERATIONS, _QUICK_ITERATIONS = 50, 10


def check_profile(bench: Bench) -> Outcome:
    """Profile the dense network and one with gathers; each layer must have its time, and the precision be known."""
    precision = bench.precision("fp16")
    options = ProfileOptions(iterations=_QUICK_ITERATIONS if bench.quick else _ITERATIONS)
    cells = bench.measure([DENSE, FORM], precision, profile=options)
    figures: List[Figure] = []
    tables: List[Table] = []
    for name, cell in cells.items():
        figures += [*_profile_figures(name, cell.profile), *_build_figures(name, cell.build)]
        tables.append(_longest_layers(name, cell.profile))
    problems = [problem for name, cell in cells.items() for problem in _problems(bench, name, cell, precision)]
    if problems:
        raise CheckFailed(
            "; ".join(problems),
            "attach this report to an issue: an engine of another precision is measured as what it is not",
            figures=figures,
            tables=tables,
        )
    words = "" if precision == "fp16" else f": {bench.backend().name} has no fp16 here"
    return Outcome(status="ok", summary=f"layers are timed in {precision}{words}", figures=figures, tables=tables)


def _problems(bench: Bench, name: str, cell: Cell, precision: str) -> List[str]:
    found: List[str] = []
    if cell.profile is None or not cell.profile.layers:
        found.append(f"{name} has no layers in its profile")
    if cell.build is None:
        return [*found, f"{name} tells nothing of its build"]
    if cell.build.precision != precision:
        found.append(f"{name} was asked for in {precision} and is {cell.build.precision}")
    elif bench.capabilities().layer_precisions and not _layer_counts(cell.build):
        found.append(f"{name} does not tell the precision of its layers: {precision} is what was asked for")
    return found


def _profile_figures(name: str, profile: Optional[LayerProfile]) -> List[Figure]:
    if profile is None:
        return []
    return [
        Figure(name=f"{name}: sum of all layers", value=profile.total_ms, unit="ms"),
        Figure(name=f"{name}: layers", value=len(profile.layers)),
        Figure(name=f"{name}: share of changes of format", value=_share(profile, r"reformat|transpose"), unit="%"),
        Figure(name=f"{name}: share of gathers", value=_share(profile, r"gather"), unit="%"),
    ]


def _build_figures(name: str, build: Optional[Build]) -> List[Figure]:
    if build is None:
        return []
    return [
        Figure(name=f"{name}: precision in force", value=build.precision),
        Figure(name=f"{name}: build", value=build.time_s, unit="s"),
        Figure(name=f"{name}: options of the engine", value=", ".join(build.options)),
    ]


def _layer_counts(build: Build) -> List[str]:
    """Return how many layers have which precision, e.g. ``layers_fp16=20``, as the engine's inspector told."""
    return [option for option in build.options if re.match(r"layers_\w+=\d+$", option)]


def _share(profile: LayerProfile, pattern: str) -> float:
    """Return the share, in percent, of the layers that name ``pattern`` in what the runtime calls them.

    A convolution that a runtime fused with a gather counts as both: the name tells no more.
    """
    named = [layer for layer in profile.layers if re.search(pattern, f"{layer.name} {layer.kind}", re.IGNORECASE)]
    return 100.0 * sum(layer.share for layer in named)


def _longest_layers(name: str, profile: Optional[LayerProfile]) -> Table:
    layers = [] if profile is None else sorted(profile.layers, key=lambda layer: layer.mean_ms, reverse=True)
    return Table(
        title=f"{name}: the {_LONGEST} longest layers",
        columns=["layer", "of", "kind", "ms", "share %"],
        rows=[_row(layer) for layer in layers[:_LONGEST]],
    )


def _row(layer: LayerTime) -> List[Value]:
    return [layer.name, layer.source, layer.kind, layer.mean_ms, 100.0 * layer.share]
