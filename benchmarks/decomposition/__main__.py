"""How much faster is the batched decomposition of a whole network than loops over its channels?

    python -m benchmarks.decomposition [--rounds 7] [--threads 1 2]

All start from the weights of PreAct-ResNet-18 (sixteen 3x3 convolutions, 3,392 channels) and a bound on the error of
each layer, and end with ranks that meet it (Algorithm 2) and the factors of both convolutions. The bounds are such
that the mean G/C is 6, as in the paper's first table for this network. Three ways:

- *batched*: this package; several layers at once where there are several threads.
- *loop*: one SVD after the other; the ranks by one sort, the factors channel by channel.
- *loop, as published*: one SVD after the other; the components dropped one by one, and those that stay put into both
  weights one by one, as the procedure that was published with the paper does.

The ranks are compared before any time is taken. Writes ``results.json`` and ``results.md`` beside this file. Returns
1 if batched is less than the target faster than the published loop.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import paired
from benchmarks.measured import machine, write_results
from gdws._util.threads import map_in_threads
from gdws.algorithms.allocate import lego, mego
from gdws.algorithms.cost import weighted_error
from gdws.algorithms.spectrum import decompose
from gdws.compression import surgery
from gdws.networks import zoo as nets

HERE = Path(__file__).resolve().parent

TARGET = 15
MEAN_RANK = 6

#: Pointwise weight (M, G) and depthwise weight (G, 9), ordered by channel.
Factors = tuple[Tensor, Tensor]


def network() -> list[tuple[Tensor, float]]:
    """The weight (M, C, 3, 3) of each layer to convert, and the bound on its e^2."""
    torch.manual_seed(0)
    layers = surgery.inspect(nets.build("preact-resnet18"))
    weights = [layer.module.weight.detach() for layer in layers if layer.eligible]
    return [(weight, bound(weight)) for weight in weights]


def bound(weight: Tensor) -> float:
    """The e^2 of the best approximation with the mean rank, and half of the next component."""
    spectrum = decompose(weight.numpy())
    kept = MEAN_RANK * weight.shape[1]
    errors = [weighted_error(spectrum, mego(spectrum, gamma)) for gamma in (kept, kept - 1)]
    return sum(errors) / 2


def batched(weight: Tensor, beta: float) -> Factors:
    """The factors of one layer as this package makes them."""
    spectrum = decompose(weight.numpy())
    factors = spectrum.factors(lego(spectrum, beta))
    return torch.from_numpy(factors.pointwise), torch.from_numpy(factors.depthwise).flatten(1)


def loop(weight: Tensor, beta: float) -> Factors:
    """The factors from one SVD after the other."""
    channels = singular_values_and_vectors(weight)
    squares = torch.stack([values for _, values, _ in channels]).square()
    ordered, order = squares.flatten().sort(descending=True, stable=True)
    dropped = int((ordered.flip(0).cumsum(0) <= beta).sum())
    ranks = ranks_of(order[: len(order) - dropped], squares)
    pointwise = [left[:, :g] * values[:g] for (left, values, _), g in zip(channels, ranks, strict=True)]
    depthwise = [right[:g] for (_, _, right), g in zip(channels, ranks, strict=True)]
    return torch.cat(pointwise, dim=1), torch.cat(depthwise)


def published_loop(weight: Tensor, beta: float) -> Factors:
    """The factors from one SVD after the other and one component after the other."""
    M, C = weight.shape[:2]
    channels = singular_values_and_vectors(weight)
    values = torch.stack([values for _, values, _ in channels])
    ordered, order = values.square().flatten().sort(descending=True, stable=True)
    G, error = len(ordered), 0
    while error + ordered[G - 1] <= beta:
        error += ordered[G - 1]
        G -= 1
    kept = sorted(divmod(index, values.shape[1]) for index in order[:G].tolist())
    ranks = torch.zeros(C, dtype=torch.long)
    for channel, _ in kept:
        ranks[channel] += 1
    pointwise, depthwise = torch.zeros(M, G), torch.zeros(G, C * 9)
    for component, (channel, place) in enumerate(kept):
        left, _, right = channels[channel]
        pointwise[:, component] = left[:, place] * values[channel, place]
        depthwise[component, channel * 9 : channel * 9 + 9] = right[place]
    kernels, component = torch.zeros(G, 1, 3, 3), 0
    for channel in range(C):
        for _ in range(ranks[channel]):
            kernels[component, 0] = depthwise[component, channel * 9 : channel * 9 + 9].reshape(3, 3)
            component += 1
    return pointwise, kernels.flatten(1)


def singular_values_and_vectors(weight: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The SVD of each W_c of one layer, one after the other."""
    return [tuple(torch.linalg.svd(matrix, full_matrices=False)) for matrix in weight.flatten(2).unbind(1)]


def ranks_of(kept: Tensor, squares: Tensor) -> list[int]:
    """The ranks of the channels, from the flat indices of the components that are kept."""
    return torch.bincount(kept // squares.shape[1], minlength=len(squares)).tolist()


WAYS: dict[str, Callable[[Tensor, float], Factors]] = {
    "batched": batched,
    "loop": loop,
    "loop, as published": published_loop,
}


def check(layers: list[tuple[Tensor, float]]) -> None:
    """Raise unless all ways give the same sizes and approximations of the same error."""
    for weight, beta in layers:
        channels = np.repeat(np.arange(weight.shape[1]), lego(decompose(weight.numpy()), beta))
        assert len(channels) == MEAN_RANK * weight.shape[1]
        for way in WAYS.values():
            pointwise, depthwise = way(weight, beta)
            dense = torch.zeros(weight.shape[1], weight.shape[0], 9)
            dense.index_add_(0, torch.from_numpy(channels), pointwise.t()[:, :, None] * depthwise[:, None])
            error = float((dense - weight.flatten(2).transpose(0, 1)).square().sum())
            assert 0.98 * beta < error <= 1.00001 * beta, (way, error, beta)


def measure(rounds: int) -> dict[str, Any]:
    """Times of all ways for the whole network, and their ratios."""
    layers = network()
    check(layers)
    loops = {name: lambda way=way: [way(*layer) for layer in layers] for name, way in WAYS.items() if way != batched}
    return paired.compare({"batched": lambda: map_in_threads(lambda layer: batched(*layer), layers), **loops}, rounds)


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    return "\n".join(
        [
            "# Decomposition of a whole network",
            "",
            "PreAct-ResNet-18: from weights and a bound on each layer's error to ranks (mean G/C of 6) and factors.",
            "The loops call `torch.linalg.svd` for each of the 3,392 channels; the published one also drops and",
            "places the components one by one. Batched, layers share the threads. Times and ratios are medians over",
            "rounds in which all take turns, the range of the ratio in brackets.",
            f"Target: {TARGET} times faster than the published loop, with all cores.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`.",
            "",
            *paired.rows(results["figures"]),
            "",
            "With more than one thread, torch's threads have to meet for each of the small matrices. On a busy machine",
            "they wait for each other, which slows the loops down many times over; hence the wide range. The figures",
            "with one thread are free of that.",
            "",
        ]
    )


def main() -> int:
    """Measure, write the results, and return 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--once", action="store_true", help="measure in this process, and print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options.rounds)))
        return 0
    results = {
        "what": "decomposition of PreAct-ResNet-18, batched against loops over channels",
        "machine": {**machine(), "torch": torch.__version__, "numpy": np.__version__},
        "target": TARGET,
        "figures": paired.for_each_thread_count(
            "benchmarks.decomposition", options.threads, ["--rounds", str(options.rounds)]
        ),
    }
    write_results(HERE, results, table(results))
    return 0 if results["figures"][-1]["ratio"]["loop, as published"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
