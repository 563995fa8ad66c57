"""Targets, table and plot of the results, from what is stored alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Row = Mapping[str, Any]
Rows = Mapping[str, Row]

POINTS = 1.0
FASTER_THAN_PUBLISHED = 2.5

BATCHES, THREADS = (1, 8), (1, 2)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the forms of a network should reach: the least speed-up over the batch sizes, by the number of threads.

    Both for a form of at most a G/C, None for any; and ``_tuned`` for a form that was fine-tuned.
    """

    most_mean_rank: float | None = 2.5
    speedup: Mapping[int, float] = field(default_factory=lambda: dict.fromkeys(THREADS, 2.0))
    most_mean_rank_tuned: float | None = 1.5
    speedup_tuned: Mapping[int, float] = field(default_factory=lambda: dict.fromkeys(THREADS, 2.5))


_WAYS = (
    ("as published", "gray", "s-"),
    ("as published, stacked", "tab:olive", "v-"),
    ("data-aware, gather", "tab:cyan", "D"),
    ("data-aware", "tab:blue", "o-"),
    ("data-aware, one budget", "tab:green", "^-"),
    ("data-aware and distilled", "tab:purple", "P"),
    ("data-aware and fine-tuned", "tab:red", "*"),
)


def way(name: str, row: Row) -> str:
    """What a network is called in the plot."""
    if name.endswith("-tuned"):
        return "data-aware and fine-tuned"
    if name.endswith("-distilled"):
        return "data-aware and distilled"
    stacked = name.endswith("-stacked")
    if row["method"] == "weights":
        return "as published, stacked" if stacked else "as published"
    if "mac-saving" in name:
        return "data-aware, one budget"
    return "data-aware" if stacked else "data-aware, gather"


def setting(threads: int, batch_size: int) -> str:
    """What times are stored under."""
    return f"threads {threads}, batch {batch_size}"


_ALONE = setting(1, 1)
_SETTINGS = tuple(setting(threads, batch) for threads in THREADS for batch in BATCHES)


def lost(dense: Row, row: Row) -> float:
    """The greater loss of natural and robust accuracy, in points."""
    return max(100 * (dense[kind]["value"] - row[kind]["value"]) for kind in ("natural", "robust"))


def slowest_speedup(row: Row, threads: int) -> float:
    """The least speed-up over the batch sizes, measured in turns."""
    return min(row["speed"][setting(threads, batch)]["speedup"]["ratio"] for batch in BATCHES)


def slowest_at_best(dense: Row, row: Row) -> float:
    """The least ratio of FPS over the batch sizes, each network on the number of threads that suits it best."""
    return min(best_fps(row, batch) / best_fps(dense, batch) for batch in BATCHES)


def best_fps(row: Row, batch: int) -> float:
    """The FPS on the number of threads that gives most."""
    return max(row["speed"][setting(threads, batch)]["fps"] for threads in THREADS)


def published_equal(rows: Rows, row: Row) -> str | None:
    """The fastest network of the paper's method that is at least as robust as ``row``; None if none is."""
    equal = [
        (other["speed"][_ALONE]["fps"], name)
        for name, other in rows.items()
        if other["method"] == "weights"
        and not name.endswith("-stacked")
        and other["robust"]["value"] >= row["robust"]["value"]
    ]
    return max(equal)[1] if equal else None


def best(rows: Rows, *, tuned: bool, most_mean_rank: float | None) -> str | None:
    """The fastest data-aware network that is small and accurate enough."""
    dense = rows["dense"]
    fit = [
        (slowest_speedup(row, 1), name)
        for name, row in rows.items()
        if row["method"] == "data-aware"
        and name.endswith("-tuned") == tuned
        and (most_mean_rank is None or row["mean_rank"] <= most_mean_rank)
        and lost(dense, row) <= POINTS + 1e-9
    ]
    return max(fit)[1] if fit else None


def reached(rows: Rows, targets: Targets) -> list[tuple[str, bool]]:
    """Each target of one network in words, and whether it is reached."""
    if not all("speed" in row for row in rows.values()):
        return [("its speed is not measured yet", False)]
    untrained = best(rows, tuned=False, most_mean_rank=targets.most_mean_rank)
    tuned = best(rows, tuned=True, most_mean_rank=targets.most_mean_rank_tuned)
    return [
        *_speed_targets("without labels", rows, untrained, targets.most_mean_rank, targets.speedup),
        *_speed_targets("fine-tuned", rows, tuned, targets.most_mean_rank_tuned, targets.speedup_tuned),
        _against_published(rows, untrained),
    ]


def _speed_targets(
    words: str, rows: Rows, name: str | None, mean_rank: float | None, speedups: Mapping[int, float]
) -> list[tuple[str, bool]]:
    """One target for each number of threads, and one for that which suits each network best."""
    ranks = "" if mean_rank is None else f", G/C at most {mean_rank:g}"
    aim = f"{words}{ranks}, at most {POINTS:g} point lost"
    if name is None:
        return [(f"{aim}: no network that was judged is accurate enough", False)]
    found = [
        (f"{threads} thread{'s' if threads > 1 else ''}", speedup, slowest_speedup(rows[name], threads))
        for threads, speedup in speedups.items()
    ]
    suited = slowest_at_best(rows["dense"], rows[name])
    found.append(("each on the threads that suit it best", min(speedups.values()), suited))
    return [
        (f"{aim}, {speedup:g} times as fast at each batch size, {on}: {name}, {ratio:.2f} times", ratio >= speedup)
        for on, speedup, ratio in found
    ]


def _against_published(rows: Rows, name: str | None) -> tuple[str, bool]:
    aim = f"{FASTER_THAN_PUBLISHED:g} times the FPS of the published method at the same robust accuracy ({_ALONE})"
    if name is None:
        return f"{aim}: no data-aware network is accurate enough", False
    if not any(row["method"] == "weights" for row in rows.values()):
        return f"{aim}: no network of the published method is judged yet", False
    other = published_equal(rows, rows[name])
    if other is None:
        return f"{aim}: none of the published method's is as robust as {name}", True
    ratio = rows[name]["speed"][_ALONE]["fps"] / rows[other]["speed"][_ALONE]["fps"]
    return f"{aim}: {name} against {other}, {ratio:.2f} times", ratio >= FASTER_THAN_PUBLISHED


def table(results: Mapping[str, Any], targets: Mapping[str, Targets]) -> str:
    """The results as Markdown; ``targets`` by network."""
    lines = [
        "# Accuracy against ranks, MACs and speed",
        "",
        "Held-out images; PGD-40 white-box on each network (l_inf, eps 0.2 on MNIST, 0.1 on Fashion-MNIST),",
        "its gradients in bfloat16. Data-aware networks are fitted to "
        f"{results['calibration']} adversarial training images; the others",
        f"use alphas from {results['alpha_images']}. `distilled`: gradient steps towards the dense network's answers,",
        "without labels; `tuned`: two epochs of adversarial training after conversion. Speed in ONNX Runtime on the",
        "CPU, all forms of a network side by side through the agent. 95 % intervals.",
        "",
        "![Accuracy against MACs and against speed](accuracy.svg)",
        "",
    ]
    for network, rows in results["networks"].items():
        lines += [f"## {network}", "", _provenance(network, rows, results["machines"]), ""]
        lines += [*_table(rows), "", *_targets(rows, targets[network]), ""]
    return "\n".join(lines)


def _provenance(network: str, rows: Rows, machines: Mapping[str, Any]) -> str:
    of = rows["dense"]["of"]
    natural = of.get("natural_images") or of["images"]
    return (
        f"{natural:,} images for natural accuracy, {of['images']:,} for robust. "
        f"Speed measured on: `{json.dumps(machines.get(network))}`."
    )


def _table(rows: Rows) -> list[str]:
    lines = [
        f"| network | G/C | left dense | MACs saved | natural | robust | {' | '.join(_SETTINGS)} |",
        f"|---|---|---|---|---|---|{'---|' * len(_SETTINGS)}",
    ]
    for name, row in rows.items():
        rank = "" if row["mean_rank"] is None else f"{row['mean_rank']:.2f}"
        left = "" if row["dense_layers"] is None else str(row["dense_layers"])
        speed = row.get("speed", {})
        speeds = [_speed(speed[each]["speedup"]) if each in speed else "" for each in _SETTINGS]
        shares = [_share(row[kind]) for kind in ("natural", "robust")]
        saved = f"{row['mac_saving']:.1f}x"
        lines.append(f"| {' | '.join([name, rank, left, saved, *shares, *speeds])} |")
    return lines


def _targets(rows: Rows, targets: Targets) -> list[str]:
    return [f"- {'reached' if met else '**missed**'}: {words}" for words, met in reached(rows, targets)]


def _share(proportion: Mapping[str, Any]) -> str:
    low, high = (100 * proportion["interval"][end] for end in ("low", "high"))
    return f"{100 * proportion['value']:.1f} ({low:.1f} to {high:.1f})"


def _speed(speedup: Mapping[str, Any] | None) -> str:
    if speedup is None:
        return ""
    interval = speedup["interval"]
    return f"**{speedup['ratio']:.2f}** ({interval['low']:.2f} to {interval['high']:.2f})"


def plot(networks: Mapping[str, Rows], path: Path) -> None:
    """Robust accuracy against MACs saved, and against speed; one column for each network."""
    figure = Figure(figsize=(4 * len(networks), 6.4), layout="constrained")
    grid = figure.subplots(2, len(networks), sharey="col", squeeze=False)
    for column, (network, rows) in enumerate(networks.items()):
        for axes, x_of in zip(grid[:, column], (_saving, _speedup), strict=True):
            _draw(axes, rows, x_of)
        grid[0, column].set_title(network, fontsize=10)
        grid[0, column].set_xlabel("MACs saved (times)")
        grid[1, column].set_xlabel(f"speed-up, {_ALONE} (times)")
    for axes in grid[:, 0]:
        axes.set_ylabel("robust accuracy (%), PGD-40")
    shown = [pair for axes in grid.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {label: line for line, label in shown}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path)


def _saving(row: Row) -> float:
    return float(row["mac_saving"])


def _speedup(row: Row) -> float | None:
    return row["speed"][_ALONE]["speedup"]["ratio"] if "speed" in row else None


def _draw(axes: Any, rows: Rows, x_of: Any) -> None:
    for label, colour, style in _WAYS:
        points = [
            (x, row["robust"])
            for name, row in rows.items()
            if name != "dense" and way(name, row) == label and (x := x_of(row)) is not None
        ]
        if not points:
            continue
        points.sort(key=lambda point: point[0])
        values = [100 * robust["value"] for _, robust in points]
        below, above = (
            [abs(100 * robust["interval"][end] - value) for (_, robust), value in zip(points, values, strict=True)]
            for end in ("low", "high")
        )
        axes.errorbar(
            [x for x, _ in points], values, (below, above), fmt=style, color=colour, label=label, linewidth=1, capsize=2
        )
    axes.axhline(100 * rows["dense"]["robust"]["value"], color="black", linewidth=0.8, label="dense")
    axes.grid(True, linewidth=0.4)
