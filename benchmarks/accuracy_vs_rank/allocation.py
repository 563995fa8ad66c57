"""Which layers the ranks go to: rules compared at equal MACs, the factors of all fitted to the same images.

    python -m benchmarks.accuracy_vs_rank.allocation [--network mnist-vgg16] [--saving 4] [--images 500]

Each rule chooses ranks for the whole network within the same MACs; they may differ from channel to channel. Then all
are fitted alike, so that the choice is what differs. A cell that is in ``allocation.json`` for the same settings is not
made again. Writes ``allocation.json`` and ``allocation.md`` beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from benchmarks.accuracy_vs_rank.__main__ import ALPHA_IMAGES, Bench
from benchmarks.accuracy_vs_rank.accuracy import accuracies
from benchmarks.accuracy_vs_rank.fitting import fit_plan
from benchmarks.accuracy_vs_rank.subjects import SUBJECTS
from gdws import convert, pipeline
from gdws._util.files import write_atomic
from gdws.algorithms.spectrum import Ints
from gdws.compression import fitting as data_aware
from gdws.compression import surgery
from gdws.compression.fitting.calibration import OBSERVED
from gdws.compression.fitting.running import replace_weight, with_biases
from gdws.compression.fitting.walk import Walk
from gdws.planning.ranks import choose_ranks
from gdws_contract.plan import LayerPlan, Plan

HERE = Path(__file__).resolve().parent

CALIBRATION = 1024
MEASURED = 256
SWEEPS = 5


def equal(bench: Bench, saving: float) -> Plan:
    """The same G/C in each layer: the greatest that meets the saving, to a hundredth."""
    model, images = bench.source.module, bench.calibration_images()
    low, high = 0, 900
    plan = None
    while low < high - 1:
        middle = (low + high) // 2
        _, found = convert(model, mean_rank=middle / 100, example_input=images[:1])
        if _saving(found) >= saving:
            low, plan = middle, found
        else:
            high = middle
    assert plan is not None
    return plan


def _saving(plan: Plan) -> float:
    totals = plan.totals
    assert totals.macs_dense is not None
    assert totals.macs_gdws is not None
    return totals.macs_dense / totals.macs_gdws


def by_energy(bench: Bench, saving: float) -> Plan:
    """Squared error of the weights, every channel weighing the same."""
    return convert(bench.source.module, mac_saving=saving, example_input=bench.calibration_images()[:1])[1]


def by_alpha(bench: Bench, saving: float) -> Plan:
    """Squared error of the weights, weighed by the paper's alphas (Equation 5)."""
    alphas = pipeline.calibrate_alphas(bench.source, bench.data.train.first(ALPHA_IMAGES))
    return convert(bench.source.module, mac_saving=saving, alphas=alphas, example_input=bench.calibration_images()[:1])[
        1
    ]


def by_decisions(bench: Bench, saving: float) -> Plan:
    """First-order change of the decisions on the images: what data-aware conversion does."""
    return convert(bench.source.module, mac_saving=saving, data=bench.calibration_images())[1]


def by_measuring(bench: Bench, saving: float) -> Plan:
    """Divergence of the decisions on the images, measured with one layer converted and all others as they are."""
    model, images = bench.source.module, bench.calibration_images()
    layers = surgery.inspect(model, images[:1])
    used = [layer for layer in layers if layer.eligible]
    seen = data_aware.observe(model, used, images[:OBSERVED])
    spectra = {layer.name: surgery.spectrum(layer, seen[layer.name]) for layer in used}
    errors_of = partial(_divergences, model, used, images, seen)
    ranks = choose_ranks(layers, spectra, "mac_saving", saving, dict.fromkeys(spectra), errors_of, equal=False)
    like = by_energy(bench, saving)
    return replace(like, layers=tuple(_with_ranks(layer, ranks.get(layer.name)) for layer in like.layers))


def _with_ranks(layer: LayerPlan, ranks: Ints | None) -> LayerPlan:
    """``layer`` at other ranks; None: dense."""
    if ranks is None:
        dense = layer.left_alone or "worth its dense MACs"
        return replace(layer, ranks=None, layout=None, e2=None, energy=None, left_alone=dense)
    return replace(layer, ranks=tuple(ranks.tolist()), layout="gather", e2=0.0, energy=1.0, left_alone=None)


def _divergences(
    model: nn.Module,
    layers: Sequence[surgery.Layer],
    images: Tensor,
    seen: Mapping[str, data_aware.Observation],
    candidates: Mapping[str, Sequence[Ints]],
) -> dict[str, list[float]]:
    """KL divergence from the decisions of ``model``, for each candidate of each weight; fitted as for sensitivities."""
    few = images[:MEASURED]
    found: dict[str, list[float]] = {}
    with Walk(model, layers, few, batch_size=128) as walk:
        for name, calls in walk.calls.items():
            problem = walk.problem(name, seen[name].outputs)
            found[name] = []
            for each in candidates[name]:
                running = with_biases(model, layers)
                fit = problem.fit(each.tolist(), SWEEPS)
                replace_weight(running, list(dict.fromkeys(calls)), fit.factors, fit.bias)
                found[name].append(_divergence(running, model, few))
    return found


@torch.no_grad()
def _divergence(given: nn.Module, wanted: nn.Module, images: Tensor) -> float:
    given_logs, wanted_logs = (log_softmax(network(images), 1) for network in (given, wanted))
    return float(kl_div(given_logs, wanted_logs, log_target=True, reduction="batchmean"))


RULES: dict[str, Callable[[Bench, float], Plan]] = {
    "same G/C in each layer": equal,
    "error of the weights": by_energy,
    "weighed by alpha": by_alpha,
    "change of decisions, first order": by_decisions,
    "change of decisions, measured": by_measuring,
}


def main() -> None:
    """Make the cells that are not there, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", choices=list(SUBJECTS))
    parser.add_argument("--saving", action="append", type=float, help="times fewer MACs than dense; repeatable")
    parser.add_argument("--images", type=int, default=500, help="held-out images to judge by")
    options = parser.parse_args()
    for network in options.network or SUBJECTS:
        bench = Bench.of(network, CALIBRATION)
        for saving in options.saving or (4.0, 5.5):
            for rule, choose in RULES.items():
                cell = f"{network} {saving:g} {rule}"
                if stored().get(cell, {}).get("images") != options.images:
                    judge_cell(cell, bench, partial(choose, bench, saving), options.images)
    (HERE / "allocation.md").write_text(table(stored()))


def judge_cell(cell: str, bench: Bench, choose: Callable[[], Plan], images: int) -> None:
    """Choose, fit, judge, and store."""
    plan = choose()
    network = fit_plan(bench.source.module, Plan(plan.layers), bench.calibration_images())
    shares = accuracies(network, bench.data.test.first(images), bench.subject.attack)
    means = [layer.mean_rank for layer in plan.converted if layer.mean_rank is not None]
    row = {
        "images": images,
        "saving": _saving(plan),
        "mean_ranks": [min(means), max(means)],
        **{kind: share.model_dump() for kind, share in shares.items()},
    }
    write_atomic(HERE / "allocation.json", (json.dumps({**stored(), cell: row}, indent=2) + "\n").encode())
    print(cell, f"{row['saving']:.2f}x", *(f"{kind} {share.value:.1%}" for kind, share in shares.items()), flush=True)


def stored() -> dict[str, Any]:
    """What ``allocation.json`` has now."""
    path = HERE / "allocation.json"
    return json.loads(path.read_text()) if path.exists() else {}


def table(found: Mapping[str, Any]) -> str:
    """The cells as Markdown."""
    images = {row["images"] for row in found.values()}
    groups = list(dict.fromkeys(tuple(cell.split(" ")[:2]) for cell in found))
    lines = [
        "# Which layers the ranks go to",
        "",
        "Natural / robust accuracy in % at equal MACs, by the rule that shares ranks out. "
        f"{max(images):,} held-out images, PGD-40",
        "with gradients in bfloat16. All are fitted to the same adversarial images, without any training. In brackets",
        "the lowest and highest G/C of a layer. 95 % intervals of robust accuracy reach about 2.4 points to each side.",
        "",
        f"| | {' | '.join(f'{network}, {saving}x fewer MACs' for network, saving in groups)} |",
        f"|---|{'---|' * len(groups)}",
    ]
    for rule in RULES:
        cells = [found.get(f"{network} {saving} {rule}") for network, saving in groups]
        lines.append(f"| {rule} | {' | '.join(in_words(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def in_words(cell: Mapping[str, Any] | None) -> str:
    """One cell of the table."""
    if cell is None:
        return ""
    natural, robust = (f"{100 * cell[kind]['value']:.1f}" for kind in ("natural", "robust"))
    low, high = cell["mean_ranks"]
    return f"{natural} / **{robust}** ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
