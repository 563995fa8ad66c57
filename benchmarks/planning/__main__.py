"""Does the model of latencies predict networks that it has not seen, and is a plan by it faster than one by MACs?

    python -m benchmarks.planning [--networks NAME ...] [--backends onnxruntime pytorch] [--batch 1 8] [--threads 1 2]

For each network, backend, batch size and number of threads the options of all layers are timed in carriers, as
``gdws optimize`` does it. Then random mixtures of options are measured in turns with the dense network, and predicted
by the model of all other networks; ratios to the dense network are compared. What was measured while the machine was
slower than at other times is measured again, as in ``gdws optimize``. With ``--better`` the plan of least predicted
latency is measured beside those of fewest MACs and of equal ranks, at the same error of the decisions each, on the
network whose weights ship.

Results are kept job by job and cell by cell in ``--state``, so that it goes on where it was interrupted, and are
written to ``results.json`` and ``results.md`` beside this file after each cell, where a cell takes the place of an
earlier one of its network and setting and the others stay. With ``--within`` no cell is begun that would not be done in
that time, if it takes as long as the longest before it. What tells most, in about ten minutes::

    python -m benchmarks.planning --networks mnist-preact-resnet --backends onnxruntime --batch 1 --threads 2 1 \\
        --better --min-duration 1.5 --within 12
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.measured import machine, write_results
from benchmarks.untrained import untrained
from gdws import datasets, pipeline
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
from gdws.planning.search.costs import Costs
from gdws.planning.search.explorer import Explorer
from gdws.planning.search.latency_model import bases_of, fit
from gdws.planning.search.options import Offer, offer
from gdws.planning.search.space import Choice, Space

HERE = Path(__file__).resolve().parent

#: The weights of the first ship; the others, for Fashion-MNIST and CIFAR-10, have random ones, as fast as any.
NETWORKS = ("mnist-preact-resnet", "mnist-preact-resnet18", "preact-resnet18")
_MIXTURES = 12
_MEDIAN_LIMIT, _P90_LIMIT = 0.03, 0.06
#: A cell whose measurements have the dense network take so much more time in one than in another decides nothing.
_AT_REST = 0.10
_NOT_AT_REST = "not at rest"
#: What takes less time was not measured but read from the state.
_RECALLED_S = 3.0


def main(argv: list[str]) -> int:
    """Measure what is not in the state yet, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "pytorch"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--mixtures", type=int, default=_MIXTURES)
    parser.add_argument("--min-duration", type=float, default=3.0, help="seconds for each network")
    parser.add_argument("--better", action="store_true", help="also compare with plans by MACs and by equal ranks")
    parser.add_argument("--within", type=float, metavar="MINUTES", help="begin no cell that would take longer")
    parser.add_argument("--state", type=Path, default=HERE / "state")
    options = parser.parse_args(argv)
    state = State(options.state)
    recorded = HERE / "results.json"
    cells: list[dict[str, Any]] = json.loads(recorded.read_text())["cells"] if recorded.exists() else []
    found: list[dict[str, Any]] = []
    deadline_s = None if options.within is None else time.monotonic() + 60 * options.within
    with local_agent(options.state / "agent") as url, DeviceClient(url) as device:
        for cell in _cells(options, device, state, deadline_s):
            found.append(cell)
            cells = updated(cells, cell)
            write_results(HERE, {"cells": cells}, table(cells))
    return 0 if found and all(_verdict(cell) == "yes" for cell in found) else 1


def updated(cells: Sequence[dict[str, Any]], measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells with ``measured`` in the place of the one of its network and setting, by network and setting.

    One of a machine that was not at rest takes no other's place.
    """

    def place(cell: Mapping[str, Any]) -> tuple[int, str]:
        return NETWORKS.index(cell["network"]), cell["setting"]

    found = {place(cell): cell for cell in cells}
    if place(measured) not in found or _verdict(measured) != _NOT_AT_REST:
        found[place(measured)] = measured
    return [found[key] for key in sorted(found)]


def _cells(
    options: argparse.Namespace, device: DeviceClient, state: State, deadline_s: float | None
) -> Iterator[dict[str, Any]]:
    longest_s = 0.0
    for name in options.networks:
        better = options.better and name == NETWORKS[0]
        source, images = _shipped(name) if name == NETWORKS[0] else untrained(name)
        offered = _offer(source, images, state, with_errors=better)
        for backend, batch, threads in product(options.backends, options.batch, options.threads):
            protocol = (("min_duration_ms", 1e3 * options.min_duration),)
            setting = Setting(backend, batch_size=batch, threads=threads, protocol=protocol)
            named = fingerprint(device.device(), setting)
            meter = AgentMeter(device, named, source, offered, setting, images.first(4), state)
            key = [name, named, options.mixtures, options.min_duration, offered.space.digest]
            began_s, is_known = time.monotonic(), state.path("cell", key).exists()
            if not is_known and deadline_s is not None and began_s + longest_s > deadline_s:
                print(f"{name}, {setting.words()}: left for another time", file=sys.stderr, flush=True)
                continue
            print(f"{name}, {setting.words()}", file=sys.stderr, flush=True)
            cell = state.recall("cell", key, partial(_predict, meter, offered.space, options.mixtures, better=better))
            longest_s = max(longest_s, time.monotonic() - began_s)
            yield {"network": name, "setting": setting.words(), "min_duration_s": options.min_duration, **cell}


def _predict(meter: AgentMeter, space: Space, mixtures: int, *, better: bool) -> dict[str, Any]:
    """How far predictions of random mixtures are off, and what the table cost."""
    explorer, measured_on = Explorer(space, meter), machine()
    began = time.monotonic()
    explorer.open()
    cost_s = time.monotonic() - began
    began = time.monotonic()
    Explorer(space, meter, known=explorer.learned()).open()
    known_s = time.monotonic() - began
    drawn = random.Random(0)
    choices = [tuple(drawn.randrange(len(layer.options)) for layer in space.layers) for _ in range(mixtures)]
    found: dict[str, Any] = {}
    if better:
        found["better"] = _better(explorer)
    explorer.time(choices)
    held_out = {choice: explorer.timings[choice] for choice in choices}
    known = [[timing for timing in each.timings if timing.choice not in held_out] for each in explorer.measurements]
    bases = bases_of(space, explorer.dense, explorer.profiles)
    model = fit(space, explorer.dense, known, bases)
    pairs = [(model.predict(choice)[0] / model.dense, timing.ratio) for choice, timing in held_out.items()]
    errors = sorted(abs(guess / measured - 1) for guess, measured in pairs)
    return {
        **found,
        "pairs": pairs,
        "median": statistics.median(errors),
        "p90": errors[min(len(errors) - 1, int(0.9 * len(errors)))],
        "worst": errors[-1],
        "left_out_median": statistics.median(map(abs, model.residuals)),
        "has_pair_terms": model.has_pair_terms,
        "is_profiled": explorer.is_profiled,
        "table_s": cost_s,
        "known_s": known_s,
        "dense_ms": explorer.dense,
        "dense_spread": _spread([each.dense_ms for each in explorer.measurements]),
        "machine": measured_on,
    }


def _better(explorer: Explorer) -> dict[str, Any]:
    """How many times faster the plan by measured times is than the best one by MACs or equal ranks at its error.

    As ``gdws optimize`` does, it learns from the measurement of its first choice, and may make a second.
    """
    space = explorer.space
    by_macs = Costs(space, 0.0, tuple(tuple(float(o.macs) for o in layer.options) for layer in space.layers), {})
    everywhere = (_everywhere(space, name) for name in ("stacked-2", "stacked-3", "stacked-4", "gather-2", "gather-3"))
    equal = [choice for choice in everywhere if choice is not None]
    errors = sorted(map(space.error, equal))
    rivals = [*equal, *_cheapest(by_macs, errors)]
    chosen = [*explorer.timings, *_cheapest(explorer.model.costs, errors)]  # any network that was measured may do
    explorer.time([*chosen, *rivals])
    second = _cheapest(explorer.model.costs, errors)
    explorer.time(second)
    chosen += second
    found = {}
    for error in errors:
        mine = _fastest_within(explorer, chosen, error)
        rival = _fastest_within(explorer, rivals, error)
        if mine is not None and rival is not None:
            found[f"{error:.3g}"] = {"ours_ms": mine, "best_rival_ms": rival, "ratio": rival / mine}
    return found


def _cheapest(costs: Costs, errors: Sequence[float]) -> list[Choice]:
    found = (best_choice(costs, "cost", Limits(error=error)) for error in errors)
    return [choice for choice in found if choice is not None]


def _fastest_within(explorer: Explorer, choices: Sequence[Choice], error: float) -> float | None:
    """The least measured time of those within an error; None if none was measured."""
    within = [choice for choice in choices if explorer.space.error(choice) <= error * (1 + 1e-9)]
    return min((ms for choice in within if (ms := explorer.measured(choice)) is not None), default=None)


def _everywhere(space: Space, name: str) -> Choice | None:
    """The same option in every layer; None if one does not have it."""
    offered = [[option.name for option in layer.options] for layer in space.layers]
    return tuple(names.index(name) for names in offered) if all(name in names for names in offered) else None


def _offer(source: Source, images: Split, state: State, *, with_errors: bool) -> Offer:
    """The options; where only times count their errors are not looked for, and fall with the ranks."""

    def recall(name: str, key: Any, make: Callable[[], Any]) -> Any:
        if not with_errors:
            return {layer: [1.0 / (1 + sum(ranks)) for ranks in vectors] for layer, vectors in key.items()}
        return state.recall(name, [source.name, key], make)

    return offer(Calibration(source.module, images.images), source.input_shape, recall=recall)


def _shipped(name: str) -> tuple[Source, Split]:
    return pipeline.load(name), datasets.load("mnist-sample").train.first(256)


def _spread(dense_ms: Sequence[float]) -> float:
    """How much longer the slowest takes than the fastest, as a share."""
    return max(dense_ms) / min(dense_ms) - 1


def _verdict(cell: Mapping[str, Any]) -> str:
    """Whether the errors are within the limits; nothing where the machine was not at rest."""
    if (_spread_of(cell) or 0.0) > _AT_REST:
        return _NOT_AT_REST
    return "yes" if cell["median"] <= _MEDIAN_LIMIT and cell["p90"] <= _P90_LIMIT else "no"


def _spread_of(cell: Mapping[str, Any]) -> float | None:
    """None for a cell that was measured before this was noted."""
    spread: float | None = cell.get("dense_spread")
    return spread


def table(cells: Sequence[Mapping[str, Any]]) -> str:
    """The results in words."""
    verdicts = Counter(map(_verdict, cells))
    lines = [
        "# Planning by measured times",
        "",
        "Errors of predicted latency on random mixtures of options that the model had not seen. Wanted: median at most "
        f"{100 * _MEDIAN_LIMIT:g} %, 90th percentile at most {100 * _P90_LIMIT:g} %. Of {len(cells)} cells "
        f"{verdicts['yes']} are within both and {verdicts['no']} are not; {verdicts[_NOT_AT_REST]} decide nothing, "
        f"since the dense network took over {100 * _AT_REST:g} % longer in one measurement than in another.",
        "",
        "The table is what is measured first, of a network whose layers are all unknown or, in brackets, all known. It",
        "is told where none of it was in the state already. Cells that do not tell by how much the dense network",
        "varied were predicted by an earlier version of the model.",
        "",
        "| network | setting | dense (ms) | varied by | median | p90 | worst | pair terms | table (s) | met |",
        "|---|---|--:|--:|--:|--:|--:|---|--:|---|",
    ]
    lines += [_row(cell) for cell in cells]
    lines += ["", "Measured on:", "", *sorted({f"- {_measured_on(cell)}" for cell in cells})]
    better = [(cell, error, each) for cell in cells for error, each in cell.get("better", {}).items()]
    if better:
        lines += [
            "",
            "Plans by measured times against the best of those by MACs and by equal ranks, at the same error or less.",
            "",
            "| setting | error | ours (ms) | best other (ms) | times faster |",
            "|---|--:|--:|--:|--:|",
            *(
                f"| {cell['setting']} | {error} | {each['ours_ms']:.3g} | {each['best_rival_ms']:.3g} "
                f"| {each['ratio']:.2f} |"
                for cell, error, each in better
            ),
        ]
    return "\n".join(lines) + "\n"


def _row(cell: Mapping[str, Any]) -> str:
    errors = [_percent(cell[name], digits=1) for name in ("median", "p90", "worst")]
    is_told = cell["table_s"] is not None and cell["table_s"] > _RECALLED_S
    table_s = f"{cell['table_s']:.0f} ({cell['known_s']:.0f})" if is_told else "–"
    columns = [cell["network"], cell["setting"], f"{cell['dense_ms']:.3g}", _percent(_spread_of(cell)), *errors]
    return f"| {' | '.join([*columns, 'yes' if cell['has_pair_terms'] else 'no', table_s, _verdict(cell)])} |"


def _percent(share: float | None, *, digits: int = 0) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _measured_on(cell: Mapping[str, Any]) -> str:
    written = {name: value for name, value in cell["machine"].items() if name != "load_average_before"}
    return f"{json.dumps(written)}, {cell['min_duration_s']:g} s a network"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
