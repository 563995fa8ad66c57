"""The results as tables, one for each network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gdws.bundles.variant import BASELINE


def render(results: Mapping[str, Any]) -> str:
    """``results`` in Markdown."""
    cells = results["cells"]
    lines = [
        "# Speed of networks of real size, by mean rank and layout",
        "",
        f"`{json.dumps(results['machine'])}`, ONNX Runtime in fp32, {results['min_duration_s']:g} s for each form of a",
        "cell in ten rounds, in which all forms of a network take turns. Random weights. How many times faster than",
        "the dense network of the same cell, with the 95 % interval, paired round by round. *Italics*: the agent",
        "flagged the times of the form or of the dense network.",
    ]
    for name in dict.fromkeys(cell["network"] for cell in cells):
        lines += ["", f"## {name}", "", *_of_network([cell for cell in cells if cell["network"] == name])]
    return "\n".join(lines) + "\n"


def _of_network(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    settings = [f"batch {cell['batch']}, threads {cell['threads']}" for cell in cells]
    dense = [cell["forms"][BASELINE] for cell in cells]
    lines = [
        f"| G/C | layout | MACs saved | {' | '.join(settings)} |",
        f"|--:|---|--:|{'---|' * len(cells)}",
        f"| dense | | | {' | '.join(_dense(form) for form in dense)} |",
    ]
    forms: Mapping[str, Mapping[str, Any]] = cells[0]["forms"]
    for name, form in sorted(forms.items(), key=_order):
        if name != BASELINE:
            ratios = [_ratio(cell["forms"][name], cell["forms"][BASELINE]) for cell in cells]
            head = f"| {form['mean_rank']:g} | {form['layout']} | {form['macs_saved']:.1f}x"
            lines.append(f"{head} | {' | '.join(ratios)} |")
    loads = ", ".join(f"{cell['load_average_before']:g}" for cell in cells)
    return [*lines, "", f"Load average before each cell: {loads}."]


def _order(item: tuple[str, Mapping[str, Any]]) -> tuple[float, str]:
    _, form = item
    return form["mean_rank"] or 0.0, form["layout"] or ""


def _dense(form: Mapping[str, Any]) -> str:
    return f"{form['median_ms']:.3g} ms, {form['fps']:.3g} FPS"


def _ratio(form: Mapping[str, Any], dense: Mapping[str, Any]) -> str:
    speedup = form["speedup"]
    if speedup is None:
        return "-"
    words = f"{speedup['ratio']:.2f}"
    if speedup["interval"] is not None:
        words += f" ({speedup['interval']['low']:.2f} to {speedup['interval']['high']:.2f})"
    return f"*{words}*" if form["flags"] or dense["flags"] else words
