"""A plan as a table that a person can read."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from .layer_plan import LayerPlan, Totals

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


def table(layers: Sequence[LayerPlan], totals: Totals, notes: Sequence[str]) -> str:
    """Return one row for each layer, then the totals and the notes.

    A layer left alone shows the reason in place of its ranks. Unknown MACs show as ``?``.
    """
    rows = [_row(layer) for layer in layers]
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
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *notes])


def _row(layer: LayerPlan) -> Tuple[str, ...]:
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


def _change(before: Optional[int], after: Optional[int]) -> Tuple[str, str]:
    """Before and after; the second is empty where nothing changes."""
    return _figure(before), "" if before == after else _figure(after)


def _figure(value: Optional[int]) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _aligned(rows: Sequence[Sequence[str]]) -> List[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            cell.ljust(width) if index in _LEFT_ALIGNED else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
