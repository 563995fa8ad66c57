"""A table of the paper with our figures beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.paper import verdicts
from benchmarks.paper.rows import Row, Table

_HEADINGS = {
    "natural": "natural [%]",
    "natural_top5": "natural, top 5 [%]",
    "robust": "robust [%]",
    "robust_top5": "robust, top 5 [%]",
    "linf": "robust, l_inf [%]",
    "l1": "robust, l_1 [%]",
    "l2": "robust, l_2 [%]",
    "union": "robust, union [%]",
    "size": "size [MiB]",
    "fps": "FPS",
}

_FPS = {
    False: [
        "The FPS of rows of one network are measured side by side. Those of different networks are not: compare them",
        "with care where the load average, below, tells of a busy machine.",
    ],
    True: ["The FPS of all rows are measured side by side."],
}


def render(table: Table, results: Mapping[str, Any]) -> str:
    """The results of ``table`` as Markdown."""
    headings = ["model", "network", "plan", "MMACs", *(_HEADINGS[column] for column in table.columns)]
    on = "Speed is not measured yet."
    if results["machine"] is not None:
        on = f"Speed measured on: `{json.dumps(results['machine'])}`."
    lines = [
        f"# Table {table.number}: {table.title}",
        "",
        f"Measured on {results['on']}. Attack: {results['attack']}.",
        "",
        "In each cell our figure comes first, accuracies with their 95 % interval, FPS at batch 1 by backend; the",
        "paper's figure is in brackets.",
        *_FPS[results["stand_ins"] is not None],
        *results["note"],
        "",
        on,
        "",
        f"| {' | '.join(headings)} |",
        f"|{'---|' * len(headings)}",
    ]
    for row in table.rows:
        found = results["rows"].get(row.key, {})
        missing = _missing(row, results)
        cells = [_cell(column, found, row.paper.get(column)) for column in table.columns]
        line = [row.model, found.get("network", missing), _plan(row, found), _macs(found), *cells]
        lines.append(f"| {' | '.join(line)} |")
    if said := verdicts.sentences(table, results["rows"]):
        lines += ["", *said]
    absent = {network.key: network for network in table.networks() if network.key in results["absent"]}
    if absent:
        heading = "Not present, and where to get it:"
        if results["stand_ins"]:
            heading = (
                f"Without a stand-in on {results['stand_ins']}; the public checkpoint is measured without that option:"
            )
        lines += ["", heading, ""]
        lines += [f"- `{network.file}` ({key}): {network.where}" for key, network in absent.items()]
    return "\n".join(lines) + "\n"


def _missing(row: Row, results: Mapping[str, Any]) -> str:
    if row.network.key not in results["absent"]:
        return "not measured"
    return "no stand-in" if results["stand_ins"] else "not present"


def _plan(row: Row, found: Mapping[str, Any]) -> str:
    if row.beta is None and row.data_aware is None:
        return "dense"
    if not found:
        return f"weights, beta-{row.beta:g}" if row.data_aware is None else f"data-aware, {row.data_aware.name}"
    return f"{found['plan']}, G/C {found['mean_rank']:.2f}"


def _macs(found: Mapping[str, Any]) -> str:
    return f"{found['macs'] / 1e6:.1f}" if "macs" in found else "-"


def _cell(column: str, found: Mapping[str, Any], paper: float | None) -> str:
    published = "" if paper is None else f" [{paper:g}]"
    return f"{_ours(column, found)}{published}"


def _ours(column: str, found: Mapping[str, Any]) -> str:
    if column == "fps":
        return ", ".join(map(_speed, found.get("speed") or [])) or "-"
    if column == "size":
        if "size" not in found:
            return "-"
        sparse = found["size_non_zero"] < 0.98 * found["size"]
        return f"{found['size']:.2f}" + (f" ({found['size_non_zero']:.2f} not zero)" if sparse else "")
    share = found.get("accuracies", {}).get(column)
    if share is None:
        return "-"
    low, high = (100 * share["interval"][end] for end in ("low", "high"))
    return f"{100 * share['value']:.1f} ({low:.1f} to {high:.1f})"


def _speed(entry: Mapping[str, Any]) -> str:
    if entry["fps"] is None:
        return f"{entry['backend']}: not measured ({entry['reason']})"
    simulated = ", simulated" if entry["simulated"] else ""
    return f"{entry['backend']} {entry['fps']:.0f}{simulated}"
