"""Accuracy against ranks, MACs and speed: the paper's method and the data-aware one on the network of the package.

    python benchmarks/accuracy_vs_rank/run.py [--images 1000] [--calibration 1024]

Each network is evaluated on held-out images (natural, and PGD-40 white-box on that network), and all are measured side
by side on an agent on this machine at batch 1 and 8. An evaluation that is already in ``results.json``, from the same
images and weights, is not made again, so an interrupted run goes on where it was.

Writes ``results.json``, ``results.md`` and ``accuracy.svg`` beside this file. Returns 1 unless a data-aware network of
a mean rank of at most 2.5 is within 1 point of the dense one, natural and robust, at twice its speed at batch 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from measured import machine, write_results  # noqa: E402

from gdws import datasets, pipeline  # noqa: E402
from gdws.attacks import AttackSpec  # noqa: E402
from gdws.bundle import PackedVariant  # noqa: E402
from gdws.client import DeviceClient  # noqa: E402
from gdws.files import write_atomic  # noqa: E402
from gdws.local_agent import local_agent  # noqa: E402
from gdws.pipeline import Recipe  # noqa: E402
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult  # noqa: E402

NETWORK, DATA = "mnist-preact-resnet", "mnist-sample"
ATTACK = AttackSpec(eps=0.2, step=0.02, iterations=40, random_start=True)
BATCHES = (1, 8)
MOST_MEAN_RANK, POINTS, SPEEDUP = 2.5, 1.0, 2.0
RECIPES = (
    *(Recipe(mean_rank=rank, method="data-aware", layout="stacked") for rank in (1, 2, 3)),
    *(Recipe(mean_rank=rank, method="data-aware") for rank in (1.5, 2, 2.5)),
    *(Recipe(mean_rank=rank, layout="stacked") for rank in (2, 4, 6)),
    *(Recipe(mean_rank=rank) for rank in (3, 5)),
)


def networks(calibration: int) -> tuple[pipeline.Source, list[PackedVariant], datasets.Dataset]:
    """The dense network and one for each recipe."""
    source, data = pipeline.load(NETWORK), datasets.load(DATA)
    weights = pipeline.calibrate_alphas(source, data.train.first(128))
    fitted_to = pipeline.calibration_images(source, data.train.first(calibration), ATTACK)
    return source, pipeline.convert_all(source, RECIPES, weights=weights, data=fitted_to), data


def evaluate_all(variants: list[PackedVariant], data: datasets.Dataset, images: int, store: Path) -> dict[str, Any]:
    """The accuracies of each network by name, as JSON; those in ``store`` are not found again."""
    figures: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    for variant in variants:
        if variant.name not in figures:
            evaluation = pipeline.evaluate_one(variant, data.test.first(images), ATTACK)
            figures[variant.name] = evaluation.to_dict()
            write_atomic(store, json.dumps(figures).encode())
        natural, robust = (figures[variant.name][kind]["value"] for kind in ("natural", "robust"))
        print(f"{variant.name}: natural {natural:.1%}, robust {robust:.1%}", flush=True)
    return figures


def measured(source: pipeline.Source, variants: list[PackedVariant], data: datasets.Dataset) -> BenchmarkResult:
    """All networks side by side on an agent on this machine."""
    with tempfile.TemporaryDirectory() as folder, local_agent() as url, DeviceClient(url) as device:
        path = Path(folder) / "model.gdws"
        bundle_id = pipeline.pack(path, source, variants, data.test.first(32), f"{data.name}, test", None)
        request = BenchmarkRequest(model_id=bundle_id, batch_sizes=list(BATCHES))
        return pipeline.benchmark(device, path, request)


def rows_of(variants: list[PackedVariant], accuracies: dict[str, Any], result: BenchmarkResult) -> list[dict[str, Any]]:
    """One row for each network: ranks, MACs, accuracies with intervals, and speed-ups at each batch size."""
    rows = []
    for variant in variants:
        cells = {cell.key.batch_size: cell for cell in result.job.cells if cell.key.variant == variant.name}
        plan = variant.plan
        mean_rank = macs = None
        if plan is not None:
            ranks = [rank for layer in plan.converted for rank in layer.ranks or ()]
            mean_rank = sum(ranks) / len(ranks)
            macs = plan.totals.macs_gdws
        rows.append(
            {
                "name": variant.name,
                "method": "dense" if plan is None else plan.method,
                "mean_rank": mean_rank,
                "macs": macs,
                "natural": accuracies[variant.name]["natural"],
                "robust": accuracies[variant.name]["robust"],
                "speedup": {
                    batch: None if cell.speedup is None else cell.speedup.model_dump() for batch, cell in cells.items()
                },
                "median_ms": {batch: cell.latency.median_ms for batch, cell in cells.items() if cell.latency},
            }
        )
    dense_macs = next(v.plan.totals.macs_dense for v in variants if v.plan is not None)
    rows[0]["macs"] = dense_macs
    return rows


def reached(rows: list[dict[str, Any]]) -> list[str]:
    """The data-aware networks that meet all three bounds."""
    dense = rows[0]
    names = []
    for row in rows[1:]:
        lost = max(100 * (dense[kind]["value"] - row[kind]["value"]) for kind in ("natural", "robust"))
        speed = row["speedup"][1]
        small = row["method"] == "data-aware" and row["mean_rank"] <= MOST_MEAN_RANK
        fast = speed is not None and speed["ratio"] >= SPEEDUP
        if small and fast and lost <= POINTS + 1e-9:
            names.append(row["name"])
    return names


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    rows = results["rows"]
    dense = rows[0]
    lines = [
        "# Accuracy against ranks and speed",
        "",
        f"The network `{NETWORK}`; {results['images']} held-out images, PGD-40 (l_inf, eps 0.2) white-box on each",
        f"network; data-aware networks are fitted to {results['calibration']} adversarial training images, the",
        "others use alphas from 128. Speed in ONNX Runtime on the CPU, measured side by side through the agent.",
        "Accuracies (percent) and speed-ups with 95 % intervals.",
        "",
        f"Machine: `{json.dumps(results['machine'])}`.",
        "",
        "![Accuracy against MACs and against speed](accuracy.svg)",
        "",
        "| network | G/C | MACs saved | natural | robust (PGD-40) | speed-up, batch 1 | batch 8 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rank = "" if row["mean_rank"] is None else f"{row['mean_rank']:.2f}"
        saved = "" if row is dense else f"{dense['macs'] / row['macs']:.1f}x"
        speeds = [_speed(row["speedup"][batch]) for batch in BATCHES]
        cells = [row["name"], rank, saved, _share(row["natural"]), _share(row["robust"]), *speeds]
        lines.append(f"| {' | '.join(cells)} |")
    met = ", ".join(results["reached"]) or "none"
    lines += [
        "",
        f"Data-aware, mean rank at most {MOST_MEAN_RANK}, at most {POINTS:g} point below dense in both accuracies,",
        f"and at least {SPEEDUP:g} times its speed at batch 1: {met}.",
        "",
    ]
    return "\n".join(lines)


def _share(proportion: dict[str, Any]) -> str:
    low, high = (100 * proportion["interval"][end] for end in ("low", "high"))
    return f"{100 * proportion['value']:.1f} ({low:.1f} to {high:.1f})"


def _speed(speedup: dict[str, Any] | None) -> str:
    if speedup is None:
        return ""
    interval = speedup["interval"]
    return f"**{speedup['ratio']:.2f}** ({interval['low']:.2f} to {interval['high']:.2f})"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Robust accuracy against MACs saved, and against speed at batch 1."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    dense = rows[0]
    axes = figure.subplots(1, 2, sharey=True)
    ways = (("data-aware", "stacked"), ("data-aware", "gather"), ("weights", "stacked"), ("weights", "gather"))
    for (method, layout), style in zip(ways, ("o-", "o--", "s-", "s--"), strict=True):
        chosen = [r for r in rows if r["method"] == method and r["name"].endswith("stacked") == (layout == "stacked")]
        label = f"{'data-aware' if method == 'data-aware' else 'as published'}, {layout}"
        colour = "tab:blue" if method == "data-aware" else "tab:gray"
        robust = [100 * row["robust"]["value"] for row in chosen]
        axes[0].plot([dense["macs"] / row["macs"] for row in chosen], robust, style, color=colour, label=label)
        axes[1].plot([row["speedup"][1]["ratio"] for row in chosen], robust, style, color=colour, label=label)
    for one, words in zip(axes, ("MACs saved (times)", "speed-up at batch 1 (times)"), strict=True):
        one.axhline(100 * dense["robust"]["value"], color="black", linewidth=0.8)
        one.axvline(1, color="lightgray", linewidth=0.8)
        one.set_xlabel(words)
        one.grid(True, linewidth=0.4)
    axes[0].set_ylabel("robust accuracy (%), PGD-40")
    axes[0].legend(fontsize=8)
    figure.savefig(path)


def main() -> int:
    """Measure, write the results, and return 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--calibration", type=int, default=1024)
    options = parser.parse_args()
    source, variants, data = networks(options.calibration)
    store = HERE / f"accuracies-{options.images}-{options.calibration}.json"
    accuracies = evaluate_all(variants, data, options.images, store)
    rows = rows_of(variants, accuracies, measured(source, variants, data))
    results = {
        "what": "accuracy against ranks, MACs and speed, by method",
        "machine": {**machine(), "torch": torch.__version__},
        "images": options.images,
        "calibration": options.calibration,
        "rows": rows,
        "reached": reached(rows),
    }
    plot(rows, HERE / "accuracy.svg")
    write_results(HERE, results, table(results))
    store.unlink()
    return 0 if results["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
