"""Accuracy against ranks, MACs and speed, by method, on networks of the MNIST sample and one of Fashion-MNIST.

    python -m benchmarks.accuracy_vs_rank                           # all that is not in results.json yet
    python -m benchmarks.accuracy_vs_rank --network mnist-vgg16     # one of the networks; repeatable
    python -m benchmarks.accuracy_vs_rank --only accuracy           # or speed, which wants a machine at rest

Each network is converted by the paper's method and by the data-aware one, evaluated on held-out images (natural, and
PGD-40 white-box on that network), and all are measured side by side on an agent on this machine. Some are distilled or
fine-tuned. Without ``--network`` a network whose data set is not installed is left out.
An evaluation, or the times of a network, that are in ``results.json`` for the same settings are not made again, so an
interrupted run goes on where it was; the converted networks are kept in ``runs/`` beside this file.

Writes ``results.json``, ``results.md`` and ``accuracy.svg`` beside this file. Returns 1 unless each network reaches the
targets that ``figures.py`` names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.accuracy_vs_rank.accuracy import accuracies
from benchmarks.accuracy_vs_rank.figures import BATCHES, THREADS, plot, reached, setting, table
from benchmarks.accuracy_vs_rank.subjects import SUBJECTS, Subject
from benchmarks.measured import machine, write_results
from gdws import datasets, pipeline
from gdws._util.files import write_atomic
from gdws.bundles.variant import GdwsStep, Variant
from gdws.datasets import Dataset
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.errors import DataError
from gdws.networks import converted
from gdws.pipeline import Source
from gdws.training import distill, finetune
from gdws_contract.rest import BenchmarkRequest, Protocol

HERE = Path(__file__).resolve().parent

ALPHA_IMAGES = 128
PROTOCOL = Protocol(min_duration_ms=500, warmup_max_ms=500)


@dataclass(frozen=True)
class Bench:
    """One network with its data, and where its converted forms are kept."""

    name: str
    subject: Subject
    source: Source
    data: Dataset
    calibration: int
    folder: Path

    @classmethod
    def of(cls, name: str, calibration: int) -> Bench:
        """The network called ``name`` in :data:`SUBJECTS`. Raises :class:`~gdws.errors.DataError` without its data."""
        subject = SUBJECTS[name]
        return cls(name, subject, pipeline.load(subject.path), datasets.load(subject.data), calibration, HERE / "runs")

    @property
    def names(self) -> list[str]:
        """Of all its forms: dense, converted, distilled, fine-tuned."""
        names = [pipeline.BASELINE]
        for recipe in self.subject.recipes:
            names.append(recipe.name)
            names += [f"{recipe.name}-distilled"] if recipe in self.subject.distilled else []
            names += [f"{recipe.name}-tuned"] if recipe in self.subject.tuned else []
        return names

    def variant(self, name: str) -> Variant:
        """One form of it, from its file or made now."""
        if name == pipeline.BASELINE:
            return Variant(name, self.source.module)
        path = self.folder / f"{self.name}-{name}-{self.calibration}.safetensors"
        if not path.exists():
            began = time.perf_counter()
            variant = self._made(name)
            assert variant.plan is not None
            path.parent.mkdir(exist_ok=True)
            seconds = {"seconds": f"{time.perf_counter() - began:.1f}"}
            converted.save(path, variant.module.state_dict(), variant.plan, {**self.source.provenance, **seconds})
        found = converted.load(path)
        return Variant(name, found.module, (GdwsStep(found.plan),))

    def _made(self, name: str) -> Variant:
        if name.endswith("-tuned"):
            return self._tuned(name)
        return self._distilled(name) if name.endswith("-distilled") else self._converted(name)

    def _converted(self, name: str) -> Variant:
        [recipe] = [recipe for recipe in self.subject.recipes if recipe.name == name]
        weights = fitted_to = None
        if recipe.method == "weights":
            weights = pipeline.calibrate_alphas(self.source, self.data.train.first(ALPHA_IMAGES))
        else:
            fitted_to = self.calibration_images()
        return pipeline.convert_all(self.source, [recipe], weights=weights, data=fitted_to)[1]

    def _distilled(self, name: str) -> Variant:
        start, subject = self.variant(name.removesuffix("-distilled")), self.subject
        assert subject.distillation is not None
        images = self.data.train.first(subject.distillation_images).images
        network = distill(start.module, self.source.module, images, subject.distillation)
        return Variant(name, network, (GdwsStep(start.plan),))

    def _tuned(self, name: str) -> Variant:
        start = self.variant(name.removesuffix("-tuned"))
        result = finetune(start.module, self.data, self.subject.tuning)
        return Variant(name, result.network, (GdwsStep(start.plan),))

    def calibration_images(self) -> torch.Tensor:
        """The first training images under the attack on the dense network, from their file or made now."""
        path = self.folder / f"{self.name}-images-{self.calibration}.pt"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            images = self.data.train.first(self.calibration)
            torch.save(pipeline.calibration_images(self.source, images, self.subject.attack), path)
        return torch.load(path, weights_only=True)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of names, shapes and values of parameters and buffers: it identifies the networks of stored results."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(repr((key, tuple(tensor.shape), str(tensor.dtype))).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def judge_all(bench: Bench, names: Sequence[str], images: int, rows: dict[str, Any]) -> None:
    """Evaluate the forms of a network that are not in ``rows`` with the same settings."""
    natural_images = bench.subject.natural_images
    plain = None if natural_images is None else bench.data.test.first(natural_images)
    for name in names:
        variant = bench.variant(name)
        of = {"images": images, "calibration": bench.calibration, "weights": weights_digest(variant.module)}
        of |= {} if natural_images is None else {"natural_images": natural_images}
        if rows.get(name, {}).get("of") == of:
            continue
        judged = bench.data.test.first(images)
        found = accuracies(variant.module, judged, bench.subject.attack, natural_images=plain)
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
    parser.add_argument("--network", action="append", choices=SUBJECTS, help="repeatable; default: all")
    parser.add_argument("--form", action="append", metavar="NAME", help="of each network, e.g. dense; repeatable")
    parser.add_argument("--only", choices=("accuracy", "speed"))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--calibration", type=int, default=1024)
    options = parser.parse_args()
    for name in options.network or SUBJECTS:
        try:
            bench = Bench.of(name, options.calibration)
        except DataError as error:
            if options.network:
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        rows = stored()["networks"].get(name, {})
        if options.only != "speed":
            judge_all(bench, options.form or bench.names, options.images, rows)
        if options.only != "accuracy" and not all("speed" in row for row in rows.values()):
            time_all(bench, rows)
            store(name, rows, {**machine(), "torch": torch.__version__})
    results = {
        "what": "accuracy against ranks, MACs and speed, by method",
        "calibration": options.calibration,
        "alpha_images": ALPHA_IMAGES,
        **stored(),
    }
    plot(results["networks"], HERE / "accuracy.svg")
    targets = {name: subject.targets for name, subject in SUBJECTS.items()}
    write_results(HERE, results, table(results, targets))
    met = [met for name, rows in results["networks"].items() for _, met in reached(rows, targets[name])]
    return 0 if all(met) else 1


def stored() -> dict[str, Any]:
    """What was found so far: rows by network, and the machine that each network's speeds are from."""
    path = HERE / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"machines": {}, "networks": {}}
    return found


def store(name: str, rows: Mapping[str, Any], timed_on: Mapping[str, Any] | None = None) -> None:
    """Keep the rows of one network; those of others may have been found meanwhile, by another process."""
    results = stored()
    networks = {**results["networks"], name: rows}
    machines = results["machines"] if timed_on is None else {**results["machines"], name: timed_on}
    results |= {"machines": machines, "networks": {each: networks[each] for each in SUBJECTS if each in networks}}
    write_atomic(HERE / "results.json", (json.dumps(results, indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
