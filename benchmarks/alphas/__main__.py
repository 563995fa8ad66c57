"""How much faster are the batched alphas (Equation 8) than loops over samples and classes?

    python -m benchmarks.alphas [--rounds 5] [--samples 16] [--threads 1 2]

PreAct-ResNet-18 on 32x32 inputs with ten classes; all seventeen 3x3 convolutions. Three ways:

- *batched*: this package, batches of ``--samples``.
- *loop*: one sample and one class at a time, gradients by those weights only, the norms of all channels at once.
- *loop, as published*: one sample and one class at a time, gradients by all weights, the norms channel by channel,
  as the procedure that was published with the paper does.

The results are compared before any time is taken, in float64. Times are per sample. Writes ``results.json`` and
``results.md`` beside this file. Returns 1 if batched is less than the target faster than the published loop.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import paired
from benchmarks.alpha_loops import loop, network, published_loop
from benchmarks.measured import machine, write_results
from gdws.compression.calibration import alphas as calibrate

HERE = Path(__file__).resolve().parent

TARGET = 10


def greatest_difference(model: nn.Module, x: Tensor) -> float:
    """The greatest relative difference of both loops from this package over all channels, in float64."""
    model, x = copy.deepcopy(model).double(), x.double()
    alphas = calibrate.alphas(model, [x]).alphas
    found = [way(model, x, list(alphas)) for way in (loop, published_loop)]
    return max(relative_difference(alphas[name], other[name]) for other in found for name in alphas)


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The greatest relative difference over channels; where nothing is expected, nothing may be found."""
    if found[expected == 0].any():
        return float("inf")
    alive = expected > 0
    return float(np.max(np.abs(found[alive] / expected[alive] - 1)))


def measure(rounds: int, samples: int) -> dict[str, Any]:
    """Times of all ways per sample, their ratios, and their greatest relative difference."""
    model = network()
    x = torch.rand(samples, 3, 32, 32)
    names = list(calibrate.alphas(model, [x[:1]]).alphas)
    difference = greatest_difference(model, x[:2])
    figures = paired.compare(
        {
            "batched": lambda: calibrate.alphas(model, [x], layers=names),
            "loop": lambda: loop(model, x[:1], names),
            "loop, as published": lambda: published_loop(model, x[:1], names),
        },
        rounds,
    )
    figures["seconds"]["batched"] /= samples
    for name in figures["ratio"]:
        figures["ratio"][name] *= samples
        figures["ratios"][name] = [round(ratio * samples, 3) for ratio in figures["ratios"][name]]
    return {**figures, "difference": difference}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    difference = max(figure["difference"] for figure in results["figures"])
    return "\n".join(
        [
            "# Alphas of a whole network",
            "",
            "Equation 8 for all seventeen 3x3 convolutions of PreAct-ResNet-18, 32x32 inputs, ten classes, per sample;",
            f"batches of {results['samples']} samples. The loops run one sample and one class at a time; the published",
            "one also takes the norms channel by channel. Times and ratios are medians over rounds in which all take",
            "turns, the range of the ratio in brackets.",
            f"Target: {TARGET} times faster than the published loop, with all cores.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`.",
            "",
            *paired.rows(results["figures"]),
            "",
            f"Greatest relative difference between them, over all channels, in float64: {difference:.1e}.",
            "",
            "An exact result needs nine backward passes for each sample in every way. Batched, their convolutions and",
            "matrix products run at the peak of the cores and take four fifths of the time. The loops form all weight",
            "gradients, about as many operations again, work on single samples, and the published one calls six small",
            "operations for each channel and class. How much that costs depends on the processor: a two-core AMD EPYC",
            "gave 7.7 in place of the last figure.",
            "",
        ]
    )


def main() -> int:
    """Measure, write the results, and return 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--once", action="store_true", help="measure in this process, and print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.rounds, options.samples)))
        return 0
    results = {
        "what": "alphas of PreAct-ResNet-18, batched against loops over samples and classes",
        "machine": {**machine(), "torch": torch.__version__, "numpy": np.__version__},
        "target": TARGET,
        "samples": options.samples,
        "figures": paired.for_each_thread_count(
            "benchmarks.alphas",
            options.threads,
            ["--rounds", str(options.rounds), "--samples", str(options.samples)],
        ),
    }
    write_results(HERE, results, table(results))
    return 0 if results["figures"][-1]["ratio"]["loop, as published"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
