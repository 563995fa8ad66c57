"""Accuracy against ranks, MACs and speed, by method, on three networks of the MNIST sample.

    python -m benchmarks.accuracy_vs_rank                           # all that is not in results.json yet
    python -m benchmarks.accuracy_vs_rank --network mnist-vgg16     # one of the networks; repeatable
    python -m benchmarks.accuracy_vs_rank --only accuracy           # or speed, which wants a machine at rest

Each network is converted by the paper's method and by the data-aware one, evaluated on held-out images (natural, and
PGD-40 white-box on that network), and all are measured side by side on an agent on this machine. Some are fine-tuned.
An evaluation, or the times of a network, that are in ``results.json`` for the same settings are not made again, so an
interrupted run goes on where it was; the converted networks are kept in ``runs/`` beside this file.

Writes ``results.json``, ``results.md`` and ``accuracy.svg`` beside this file. Returns 1 unless each network reaches the
targets that ``figures.py`` names.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy_vs_rank.accuracy import accuracies
from benchmarks.accuracy_vs_rank.figures import BATCHES, THREADS, plot, reached, setting, table
from benchmarks.measured import machine, write_results
from gdws import datasets, pipeline
from gdws._util.files import write_atomic
from gdws.bundles.variant import GdwsStep, Variant
from gdws.datasets import Dataset
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.evaluation.attacks import AttackSpec
from gdws.networks import converted
from gdws.pipeline import Recipe, Source
from gdws.planning.budget import MacSaving, MeanRank
from gdws.training import FinetuneSettings, finetune
from gdws.training.tuning import fingerprint
from gdws_contract.rest import BenchmarkRequest, Protocol

HERE = Path(__file__).resolve().parent

#: By name, what :func:`gdws.pipeline.load` finds each under.
NETWORKS = {
    "mnist-preact-resnet": "mnist-preact-resnet",
    "mnist-vgg16": str(HERE.parent / "networks" / "mnist-vgg16.safetensors"),
    "mnist-wrn": str(HERE.parent / "networks" / "mnist-wrn.safetensors"),
}
ATTACK = AttackSpec(eps=0.2, step=0.02, iterations=40, random_start=True)
ALPHA_IMAGES = 128
PROTOCOL = Protocol(min_duration_ms=500, warmup_max_ms=500)

#: The forms that are fine-tuned, and how: two epochs.
TUNED = (
    *(Recipe(MacSaving(saving), method="data-aware", layout="stacked") for saving in (5.2, 5.7)),
    Recipe(MacSaving(4.85), method="data-aware"),
)
TUNING = FinetuneSettings(precision="bf16", learning_rate=5e-4)
RECIPES = (
    *(Recipe(MeanRank(rank), method="data-aware", layout="stacked") for rank in (2, 3)),
    Recipe(MeanRank(5)),
    Recipe(MacSaving(4.4), method="data-aware", layout="stacked"),
    *TUNED,
    *(Recipe(MacSaving(3), method="data-aware", layout=layout) for layout in ("stacked", "gather")),
    Recipe(MeanRank(7)),
)


@dataclass(frozen=True)
class Bench:
    """One network with its data, and where its converted forms are kept."""

    name: str
    source: Source
    data: Dataset
    calibration: int
    folder: Path

    @classmethod
    def of(cls, name: str, calibration: int) -> Bench:
        """The network called ``name`` in :data:`NETWORKS`."""
        return cls(name, pipeline.load(NETWORKS[name]), datasets.load("mnist-sample"), calibration, HERE / "runs")

    @property
    def names(self) -> list[str]:
        """Of all its forms: dense, converted, fine-tuned."""
        names = [pipeline.BASELINE]
        for recipe in RECIPES:
            names += [recipe.name, *([f"{recipe.name}-tuned"] if recipe in TUNED else [])]
        return names

    def variant(self, name: str) -> Variant:
        """One form of it, from its file or made now."""
        if name == pipeline.BASELINE:
            return Variant(name, self.source.module)
        path = self.folder / f"{self.name}-{name}-{self.calibration}.safetensors"
        if not path.exists():
            began = time.perf_counter()
            variant = self._tuned(name) if name.endswith("-tuned") else self._converted(name)
            assert variant.plan is not None
            path.parent.mkdir(exist_ok=True)
            seconds = {"seconds": f"{time.perf_counter() - began:.1f}"}
            converted.save(path, variant.module.state_dict(), variant.plan, {**self.source.provenance, **seconds})
        found = converted.load(path)
        return Variant(name, found.module, (GdwsStep(found.plan),))

    def _converted(self, name: str) -> Variant:
        [recipe] = [recipe for recipe in RECIPES if recipe.name == name]
        weights = fitted_to = None
        if recipe.method == "weights":
            weights = pipeline.calibrate_alphas(self.source, self.data.train.first(ALPHA_IMAGES))
        else:
            fitted_to = self.calibration_images()
        return pipeline.convert_all(self.source, [recipe], weights=weights, data=fitted_to)[1]

    def _tuned(self, name: str) -> Variant:
        start = self.variant(name.removesuffix("-tuned"))
        result = finetune(start.module, self.data, TUNING)
        return Variant(name, result.network, (GdwsStep(start.plan),))

    def calibration_images(self) -> torch.Tensor:
        """The first training images under the attack on the dense network, from their file or made now."""
        path = self.folder / f"{self.name}-images-{self.calibration}.pt"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            images = self.data.train.first(self.calibration)
            torch.save(pipeline.calibration_images(self.source, images, ATTACK), path)
        return torch.load(path, weights_only=True)


def judge_all(bench: Bench, names: Sequence[str], images: int, rows: dict[str, Any]) -> None:
    """Evaluate the forms of a network that are not in ``rows`` with the same settings."""
    for name in names:
        variant = bench.variant(name)
        of = {"images": images, "calibration": bench.calibration, "weights": fingerprint(variant.module)}
        if rows.get(name, {}).get("of") == of:
            continue
        found = accuracies(variant.module, bench.data.test.first(images), ATTACK)
        rows[name] = {"of": of, **_size(variant), **{kind: share.model_dump() for kind, share in found.items()}}
        store(bench.name, rows)
        natural, robust = found["natural"].value, found["robust"].value
        print(f"{bench.name} {name}: natural {natural:.1%}, robust {robust:.1%}", flush=True)


def time_all(bench: Bench, rows: Mapping[str, Any]) -> None:
    """Measure every form of a network side by side on an agent on this machine, at each batch size and thread count."""
    variants = [bench.variant(name) for name in rows]
    with tempfile.TemporaryDirectory() as folder, local_agent() as url, DeviceClient(url) as device:
        path = Path(folder) / "model.gdws"
        images = bench.data.test.first(32)
        bundle_id = pipeline.pack(path, bench.source, variants, images, f"{bench.data.name}, test", None)
        found: dict[str, dict[str, Any]] = {name: {} for name in rows}
        for threads in THREADS:
            protocol = PROTOCOL.model_copy(update={"threads": threads})
            request = BenchmarkRequest(model_id=bundle_id, batch_sizes=list(BATCHES), protocol=protocol)
            for cell in pipeline.benchmark(device, path, request).job.cells:
                if cell.latency is None:
                    raise RuntimeError(f"{cell.key.variant} was not measured: {cell.error}")
                speedup = None if cell.speedup is None else cell.speedup.model_dump()
                found[cell.key.variant][setting(threads, cell.key.batch_size)] = {"fps": cell.fps, "speedup": speedup}
    for name, speed in found.items():
        rows[name]["speed"] = speed


def _size(variant: Variant) -> dict[str, Any]:
    plan = variant.plan
    if plan is None:
        return {"method": "dense", "mean_rank": None, "dense_layers": None, "mac_saving": 1.0}
    totals = plan.totals
    assert totals.macs_dense is not None
    assert totals.macs_gdws is not None
    ranks = [rank for layer in plan.converted for rank in layer.ranks or ()]
    return {
        "method": plan.method,
        "mean_rank": sum(ranks) / len(ranks),
        "dense_layers": sum(layer.left_alone == "worth its dense MACs" for layer in plan.layers),
        "mac_saving": totals.macs_dense / totals.macs_gdws,
    }


def main() -> int:
    """Measure what is not known, write the results, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", choices=NETWORKS, help="repeatable; default: all")
    parser.add_argument("--form", action="append", metavar="NAME", help="of each network, e.g. dense; repeatable")
    parser.add_argument("--only", choices=("accuracy", "speed"))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--calibration", type=int, default=1024)
    options = parser.parse_args()
    for name in options.network or NETWORKS:
        bench = Bench.of(name, options.calibration)
        rows = stored()["networks"].get(name, {})
        if options.only != "speed":
            judge_all(bench, options.form or bench.names, options.images, rows)
        if options.only != "accuracy" and not all("speed" in row for row in rows.values()):
            time_all(bench, rows)
            store(name, rows, machine={**machine(), "torch": torch.__version__})
    results = {
        "what": "accuracy against ranks, MACs and speed, by method",
        "calibration": options.calibration,
        "alpha_images": ALPHA_IMAGES,
        **stored(),
    }
    plot(results["networks"], HERE / "accuracy.svg")
    write_results(HERE, results, table(results))
    return 0 if all(met for rows in results["networks"].values() for _, met in reached(rows)) else 1


def stored() -> dict[str, Any]:
    """What was found so far."""
    path = HERE / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"machine": {}, "networks": {}}
    return found


def store(name: str, rows: Mapping[str, Any], **more: Any) -> None:
    """Keep the rows of one network; those of others may have been found meanwhile, by another process."""
    results = stored()
    networks = {**results["networks"], name: rows}
    results |= {**more, "networks": {each: networks[each] for each in NETWORKS if each in networks}}
    write_atomic(HERE / "results.json", (json.dumps(results, indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
