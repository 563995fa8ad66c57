"""A plan as a table that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdws.algorithms.cost import size_mib

if TYPE_CHECKING:
    from gdws.algorithms.plan import LayerPlan, Plan

_HEADER = (
    "layer",
    "M×C×Kh×Kw",
    "G",
    "G/C",
    "layout",
    "MACs before",
    "after",
    "parameters before",
    "after",
    "e²",
)
_LEFT_ALIGNED = {0, 1, 4}
_UNKNOWN = "?"


def table(plan: Plan) -> str:
    """Return one row for each layer, then the totals and what set the ranks.

    A layer left alone shows the reason in place of its ranks. Unknown MACs show as ``?``.
    """
    rows = [_row(layer) for layer in plan.layers]
    totals = plan.totals
    rows.append(
        (
            "total",
            "",
            "",
            "",
            f"{totals.converted} of {totals.layers} converted",
            *_change(totals.macs_dense, totals.macs_gdws),
            *_change(totals.parameters_dense, totals.parameters_gdws),
            f"{totals.e2:.3g}",
        )
    )
    lines = _aligned([_HEADER, *rows])
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *_notes(plan)])


def _row(layer: LayerPlan) -> tuple[str, ...]:
    shape = "×".join(map(str, layer.weight_shape))
    name = layer.name or "(the model itself)"
    macs = _change(layer.macs_dense, layer.macs_gdws)
    parameters = _change(layer.parameters_dense, layer.parameters_gdws)
    if layer.components is None or layer.e2 is None:
        return (name, shape, "", "", f"as it is: {layer.left_alone}", *macs, *parameters, "")
    layout = layer.layout or ""
    if layer.shares is not None:
        layout += f" (shares {layer.shares})"
    return (
        name,
        shape,
        str(layer.components),
        f"{layer.mean_rank:.2f}",
        layout,
        *macs,
        *parameters,
        f"{layer.e2:.3g}",
    )


def _notes(plan: Plan) -> list[str]:
    totals = plan.totals
    dense, gdws = totals.parameters_dense, totals.parameters_gdws
    notes = [f"size of the parameters in float32: {size_mib(dense):.2f} MiB before, {size_mib(gdws):.2f} MiB after"]
    if plan.constraint == "given":
        notes.append("ranks: given")
    else:
        weights = "with alphas" if plan.weighted else "without alphas"
        if plan.calibration is not None:
            weights = f"data-aware, fitted to {plan.calibration.images} images"
        scope = "the whole network" if plan.constraint in ("budget", "mac_saving") else "each layer"
        notes.append(f"ranks: {plan.constraint} = {plan.budget:g} for {scope}, {weights}")
    if plan.input_shape is not None:
        notes.append(f"MACs: of one sample of shape {'×'.join(map(str, plan.input_shape))}")
    elif totals.macs_dense is None:
        notes.append("MACs: unknown without an example input")
    if not plan.converted:
        notes.append("no layer can be converted; the reasons are in the table")
    return notes


def _change(before: int | None, after: int | None) -> tuple[str, str]:
    """Before and after; the second is empty where nothing changes."""
    return _figure(before), "" if before == after else _figure(after)


def _figure(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index in _LEFT_ALIGNED else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
