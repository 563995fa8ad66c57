"""How far is the plan that a search finds from the best one of all, where all can be measured?

    python -m benchmarks.planning.exhaustive [--threads N] [--state DIR]

A network of two layers that may be converted has as many plans as their options multiply to. All are measured in turns
with the dense network. For several bounds on the error, the plan that the model of latencies leads to after one opening
and two corrections, as in ``gdws optimize``, is then measured thoroughly beside the best of all within that bound; the
ratio of the two is what a search loses. Results are kept in ``--state``, and written to ``exhaustive.json`` and
``exhaustive.md`` beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.measured import machine, write_results
from benchmarks.untrained import settle
from gdws.compression.fitting import Calibration
from gdws.datasets import Split
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.networks.sources import Source
from gdws.pipeline.optimize import Setting
from gdws.pipeline.optimize.meter import AgentMeter
from gdws.pipeline.optimize.setting import fingerprint
from gdws.pipeline.optimize.state import State
from gdws.planning.search.choose import Limits, best_choice
from gdws.planning.search.evidence import Timing
from gdws.planning.search.explorer import Explorer
from gdws.planning.search.latency_model import LatencyModel
from gdws.planning.search.options import offer
from gdws.planning.search.space import Choice, Space

HERE = Path(__file__).resolve().parent
#: Bounds on the error, as shares of the plans that keep them.
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
_ROUNDS = 3
_LIMIT = 1.01
_Z = 1.96


def main(argv: list[str]) -> int:
    """Measure what is not in the state yet, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--min-duration", type=float, default=1.0, help="seconds for each network")
    parser.add_argument("--state", type=Path, default=HERE / "state")
    options = parser.parse_args(argv)
    state = State(options.state)
    source, images = _network()
    offered = offer(Calibration(source.module, images.images), source.input_shape)
    setting = Setting(
        "onnxruntime", threads=options.threads, protocol=(("min_duration_ms", 1e3 * options.min_duration),)
    )
    with local_agent(options.state / "agent") as url, DeviceClient(url) as device:
        named = fingerprint(device.device(), setting)
        meter = AgentMeter(device, named, source, offered, setting, images.first(4), state)
        cells = _compare(offered.space, meter)
    results = {"machine": machine(), "setting": setting.words(), "plans": _count(offered.space), "cells": cells}
    write_results(HERE, results, _table(results), name="exhaustive")
    return 0 if all(cell["ratio_low"] <= _LIMIT for cell in cells) else 1


def _network() -> tuple[Source, Split]:
    """Two convolutions of different sizes that take nearly all of the time, with weights of no training."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, stride=2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 96, 3, padding=1),
        nn.BatchNorm2d(96),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )
    images = torch.rand(64, 1, 28, 28)
    settle(module, images)
    return Source("two-convolutions", module, (1, 28, 28), {}), Split(images, torch.zeros(64, dtype=torch.int64))


def _count(space: Space) -> int:
    return len(list(itertools.product(*(layer.options for layer in space.layers))))


def _compare(space: Space, meter: AgentMeter) -> list[dict[str, Any]]:
    every = list(itertools.product(*(range(len(layer.options)) for layer in space.layers)))
    bounds = [sorted(map(space.error, every))[round(share * (len(every) - 1))] for share in _SHARES]
    found = {error: _searched(space, meter, error) for error in bounds}
    everything = Explorer(space, meter)
    everything.open()
    everything.time(every)
    cells = []
    for error in bounds:
        within = [
            choice for choice in every if space.error(choice) <= error and everything.measured(choice) is not None
        ]
        best = min(within, key=lambda choice: everything.measured(choice) or 0.0)
        mine, measured = found[error]
        ratio, sd = _ratio(meter, space, mine, best)
        cells.append(
            {
                "error": error,
                "plans": len(within),
                "searched": space.names(mine),
                "best": space.names(best),
                "measured": measured,
                "ratio": ratio,
                "ratio_low": ratio * (1 - _Z * sd),
                "ratio_high": ratio * (1 + _Z * sd),
            }
        )
    return cells


def _searched(space: Space, meter: AgentMeter, error: float) -> tuple[Choice, int]:
    """The fastest measured plan within an error that a search comes to, and how many plans that has measured."""
    explorer = Explorer(space, meter)
    explorer.open()

    def fastest(model: LatencyModel, tightness: float, near: Choice | None, radius: int | None) -> Choice | None:
        return best_choice(model.costs, "cost", Limits(error=error * tightness, near=near, radius=radius))

    explorer.settle(fastest, _ROUNDS)
    within = [choice for choice in explorer.timings if space.error(choice) <= error * (1 + 1e-9)]
    best = min([space.dense, *within], key=lambda choice: explorer.measured(choice) or 0.0)
    return best, len(explorer.timings)


def _ratio(meter: AgentMeter, space: Space, mine: Choice, best: Choice) -> tuple[float, float]:
    """The latency of ``mine`` over that of ``best``, measured side by side, with its relative standard error."""
    if mine == best:
        return 1.0, 0.0
    dense = Timing(space.dense, 1.0, 0.0)
    timed = {each.choice: each for each in meter.time([mine, best], thorough=True).timings} | {space.dense: dense}
    own, other = timed[mine], timed[best]
    return own.ratio / other.ratio, (own.relative_sd**2 + other.relative_sd**2) ** 0.5


def _table(results: dict[str, Any]) -> str:
    """The results in words."""
    lines = [
        "# A search against all plans",
        "",
        f"{json.dumps(results['machine'])}, {results['setting']}. A network of two layers, {results['plans']} plans, "
        "all measured. Times of the plan that the search found, over those of the best of all within the same error, "
        f"the two measured side by side once more. Wanted: at most {_LIMIT}.",
        "",
        "| error | plans within | measured by the search | its plan | best of all | times as long |",
        "|--:|--:|--:|---|---|--:|",
        *(
            f"| {cell['error']:.3g} | {cell['plans']} | {cell['measured']} | {', '.join(cell['searched'].values())} "
            f"| {', '.join(cell['best'].values())} "
            f"| {cell['ratio']:.3f} ({cell['ratio_low']:.3f} to {cell['ratio_high']:.3f}) |"
            for cell in results["cells"]
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
