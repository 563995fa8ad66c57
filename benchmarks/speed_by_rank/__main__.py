"""How many times faster are GDWS networks of real size, by mean rank and layout?

    python -m benchmarks.speed_by_rank [--networks NAME ...] [--batch 1 8] [--threads 1 2] [--within MINUTES]

Networks for CIFAR and ImageNet with random weights, since speed does not depend on them. Each is measured dense and at
every mean rank and layout, all side by side on an agent on this machine: in each round every form has its turn, and the
speed-up is paired with the dense network round by round.

A cell is one network at one batch size and number of threads. Cells are kept in ``--state``, so a run that was
interrupted resumes there, and ``results.json`` and ``results.md`` are written to ``--out`` after each. The most telling
cells come first; with ``--within`` no cell is begun that is not expected to end in that time. ``--prepare`` converts
the networks and hands them to the agent, which takes minutes and needs no machine at rest; afterwards measuring is all
that is left::

    python -m benchmarks.speed_by_rank --prepare
    python -m benchmarks.speed_by_rank --within 10
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import machine, write_results
from benchmarks.speed_by_rank.forms import form_of, recipes
from benchmarks.speed_by_rank.table import render
from benchmarks.untrained import untrained
from gdws import pipeline
from gdws.bundles.variant import BASELINE, Variant
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.networks import zoo
from gdws.pipeline.optimize import Setting
from gdws.pipeline.optimize.setting import fingerprint
from gdws.pipeline.optimize.state import State
from gdws_contract.archive import open_bundle
from gdws_contract.rest import BenchmarkRequest, Cell, Protocol

HERE = Path(__file__).resolve().parent

NETWORKS = ("preact-resnet18", "resnet50", "vgg16", "wrn28-4", "preact-resnet50")
RANKS = (1.0, 1.5, 2.0, 3.0, 5.0)
#: (batch size, threads), the most telling first.
_SETTINGS = ((1, 1), (1, 2), (8, 2), (8, 1))
_BACKEND = "onnxruntime"
_WARM_UP_MS = 500.0
#: Two in each of ten rounds, which is all there is time for where an inference takes half a second.
_MIN_ITERATIONS = 20
_VERIFICATION_IMAGES = 4


@dataclass(frozen=True)
class Place:
    """A cell of the table: where in it."""

    network: str
    batch: int
    threads: int


@dataclass(frozen=True)
class Bundle:
    """A network in all its forms, packed; ``macs_saved`` by the name of each form."""

    path: Path
    model_id: str
    macs_saved: Mapping[str, float]


def main(argv: Sequence[str]) -> int:
    """Measure what is not in the state yet, write the results, and return 1 if there are none."""
    options = _parsed(argv)
    state = State(options.state)
    options.out.mkdir(parents=True, exist_ok=True)
    with local_agent(options.state / "agent") as url, DeviceClient(url) as device:
        if options.prepare:
            for name in options.networks:
                bundle = _bundle(name, options.ranks, state)
                if device.model(bundle.model_id) is None:
                    device.upload(bundle.path)
                print(f"{name}: {len(bundle.macs_saved)} forms in {bundle.path}", flush=True)
            return 0
        cells: list[dict[str, Any]] = []
        for cell in _cells(options, device, state):
            cells.append(cell)
            results = {"min_duration_s": options.min_duration, "machine": machine(), "cells": cells}
            write_results(options.out, results, render(results))
    return 0 if cells else 1


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=zoo.names(), metavar="NAME")
    parser.add_argument("--ranks", nargs="+", type=float, default=RANKS, help="mean ranks G/C")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--min-duration", type=float, default=0.5, help="measured seconds for each form of a cell")
    parser.add_argument("--within", type=float, metavar="MINUTES", help="begin no cell that would end later")
    parser.add_argument("--prepare", action="store_true", help="only convert the networks and hand them to the agent")
    parser.add_argument("--state", type=Path, default=HERE / "state", help="folder of what is done")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    return parser.parse_args(argv)


def places(options: argparse.Namespace) -> list[Place]:
    """The cells in the order of measuring."""
    wanted = [setting for setting in _SETTINGS if setting[0] in options.batch and setting[1] in options.threads]
    others = [(batch, threads) for batch in options.batch for threads in options.threads]
    settings = [*wanted, *(setting for setting in others if setting not in wanted)]
    return [Place(network, *setting) for setting in settings for network in options.networks]


def _cells(options: argparse.Namespace, device: DeviceClient, state: State) -> Iterator[dict[str, Any]]:
    """The cells of earlier runs and those that are measured now."""
    began_s = time.monotonic()
    found: list[dict[str, Any]] = []
    for place in places(options):
        setting = Setting(_BACKEND, batch_size=place.batch, threads=place.threads)
        key = [place.network, list(options.ranks), options.min_duration, fingerprint(device.device(), setting)]
        is_new = not state.path("cell", key).exists()
        left_s = None if options.within is None else 60 * options.within - (time.monotonic() - began_s)
        if is_new and left_s is not None and expected_s(place, found, options.min_duration) > left_s:
            print(f"{place.network}, {setting.words()}: left for another time", file=sys.stderr, flush=True)
            continue
        print(f"{place.network}, {setting.words()}", file=sys.stderr, flush=True)
        cell = state.recall("cell", key, lambda place=place: _measured(place, options, device, state))
        found.append(cell)
        yield cell


def expected_s(place: Place, found: Sequence[Mapping[str, Any]], min_duration_s: float) -> float:
    """How long a cell will take at most, from the dense latency of the network in another cell; 0 where none is known.

    Converted forms are taken to be as slow as the dense one, and so is a batch as its images one by one.
    """
    known = [cell for cell in found if cell["network"] == place.network]
    if not known:
        return max((cell["took_s"] for cell in found), default=0.0)

    def likely_s(cell: Mapping[str, Any]) -> float:
        latency_s = 1e-3 * cell["forms"][BASELINE]["median_ms"] * place.batch / cell["batch"]
        inferring_s = max(min_duration_s, _MIN_ITERATIONS * latency_s)
        return len(cell["forms"]) * (1e-3 * _WARM_UP_MS + inferring_s)

    return min(map(likely_s, known))


def _measured(place: Place, options: argparse.Namespace, device: DeviceClient, state: State) -> dict[str, Any]:
    """All forms of a network, side by side. Raises RuntimeError if one was not measured."""
    bundle = _bundle(place.network, options.ranks, state)
    load, began_s = os.getloadavg()[0], time.monotonic()
    request = BenchmarkRequest(
        model_id=bundle.model_id,
        backends=[_BACKEND],
        batch_sizes=[place.batch],
        protocol=Protocol(
            threads=place.threads,
            min_duration_ms=1e3 * options.min_duration,
            min_iterations=_MIN_ITERATIONS,
            warmup_max_ms=_WARM_UP_MS,
        ),
        label="speed by rank",
    )
    cells = pipeline.benchmark(device, bundle.path, request).job.cells
    return {
        "network": place.network,
        "batch": place.batch,
        "threads": place.threads,
        "load_average_before": round(load, 1),
        "took_s": time.monotonic() - began_s,
        "forms": {cell.key.variant: {**_figures(cell), **_size(cell, bundle)} for cell in cells},
    }


def _figures(cell: Cell) -> dict[str, Any]:
    if cell.latency is None or cell.fps is None:
        raise RuntimeError(f"{cell.key.variant} was not measured: {cell.error or cell.parity}")
    speedup = cell.speedup
    return {
        "median_ms": cell.latency.median_ms,
        "fps": cell.fps,
        "speedup": None if speedup is None else speedup.model_dump(),
        "flags": [flag.code for flag in cell.flags],
    }


def _size(cell: Cell, bundle: Bundle) -> dict[str, Any]:
    return {**form_of(cell.key.variant), "macs_saved": bundle.macs_saved[cell.key.variant]}


def _bundle(name: str, ranks: Sequence[float], state: State) -> Bundle:
    """The network in all its forms, packed now or before."""
    key = [name, list(ranks), zoo.measure(name).macs]
    path = state.path("networks", key, ".gdws")

    def pack() -> dict[str, float]:
        source, images = untrained(name)
        variants = pipeline.convert_all(source, recipes(ranks))
        pipeline.pack(path, source, variants, images.first(_VERIFICATION_IMAGES), "noise, for timing only", None)
        return {variant.name: _macs_saved(variant) for variant in variants}

    if not path.exists():
        state.path("macs", key).unlink(missing_ok=True)
    macs_saved = state.recall("macs", key, pack)
    with open_bundle(path) as bundle:
        return Bundle(path, bundle.id, macs_saved)


def _macs_saved(variant: Variant) -> float:
    """How many times fewer multiply-accumulates than the dense network."""
    if variant.plan is None:
        return 1.0
    totals = variant.plan.totals
    assert totals.macs_dense is not None  # the shape of an image is known
    assert totals.macs_gdws is not None
    return totals.macs_dense / totals.macs_gdws


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
