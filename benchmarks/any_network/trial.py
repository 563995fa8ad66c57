"""One network through the commands that a user runs: convert; then bench and report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.any_network import images
from benchmarks.any_network.networks import Network
from benchmarks.any_network.packages import cache, unpacked
from gdws_contract.archive import open_bundle
from gdws_contract.manifest import HostEvaluation, Variant

#: One thread, so that networks are compared and not schedulers; on the local agent.
_MEASURED = ("--backends", "onnxruntime", "--batch", "1", "--threads", "1", "--rounds", "10", "--min-duration", "1")
_FITTED, _COMPARED, _REPLAYED = 48, 48, 4


class Refused(Exception):
    """A command ended with an error; the message is its own."""


def bundle_of(network: Network) -> Path:
    """Where the networks of the first step are kept for the second."""
    return cache() / "bundles" / f"{network.slug}.gdws"


def convert(network: Network) -> dict[str, Any]:
    """What ``gdws convert`` made of ``network``; ``refused`` has its words where it made nothing."""
    found: dict[str, Any] = {"task": network.task, "package": network.package}
    path = bundle_of(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        said = _gdws("convert", *_source(network), *_recipes(network), "--out", str(path), by=network)
    except Refused as error:
        path.unlink(missing_ok=True)
        return {**found, "refused": str(error)}
    notes = [line.removeprefix("note: ") for line in said.splitlines() if line.startswith("note: ")]
    return {**found, "notes": [note.replace(f"{cache()}/", "") for note in notes], **_described(path)}


def measure(network: Network) -> dict[str, Any]:
    """How fast the networks in the bundle are, in one run of the local agent, and how busy the machine was before.

    ``bundle`` is the id of what was measured; ``refused`` has the words of the command that went no further.
    """
    path = bundle_of(network)
    with open_bundle(path) as bundle:
        found: dict[str, Any] = {"bundle": bundle.id, "load_before": round(os.getloadavg()[0], 2)}
    with TemporaryDirectory(prefix="any-network-") as folder:
        result, report = Path(folder, "result.json"), Path(folder, "report.json")
        try:
            _gdws("bench", str(path), *_MEASURED, "--quiet", "--out", str(result), by=network)
            _gdws("report", str(result), "--out", str(report), by=network)
        except Refused as error:
            return {**found, "refused": str(error)}
        return {**found, "variants": _speeds(json.loads(report.read_text()))}


def _source(network: Network) -> list[str]:
    path = str(unpacked(network.package) / network.file)
    shape = [] if network.shape is None else ["--input-shape", network.shape]
    source = ["--onnx", path] if network.module is None else [path, "--module", network.module]
    return [*source, *shape, *network.options]


def _recipes(network: Network) -> list[str]:
    own = network.images in images.kinds()
    data = str(images.location(network.images)) if own else network.images
    return [
        *("--data", data, "--attack", "none", "--alphas", "0", "--layout", "stacked", "--quiet"),
        *("--method", "data-aware", "--calibration", str(network.fitted or _FITTED)),
        *("--images", str(network.compared or _COMPARED), "--verification", str(_REPLAYED), *network.budgets),
    ]


def _gdws(*arguments: str, by: Network) -> str:
    """Run a command and return what it says on standard error. Raises :class:`Refused`."""
    folders = [str(unpacked(package)) for package in (by.package, *by.needs)]
    path = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "gdws", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    if done.returncode:
        said = done.stderr.partition("error: ")[2] or f"exit code {done.returncode}"
        raise Refused(f"gdws {arguments[0]}: {' '.join(said.split())[:300]}")
    return done.stderr


def _described(path: Path) -> dict[str, Any]:
    with open_bundle(path) as bundle:
        manifest, bundle_id = bundle.manifest, bundle.id
    layers = [layer for variant in manifest.variants for layer in variant.layers]
    return {
        "bundle": bundle_id,
        "kind": manifest.task.kind,
        "origin": manifest.verification.origin,
        "convolutions": len({layer.name for layer in layers if len(layer.shape) > 2}),
        "kept_as_graph": manifest.provenance.get("kept_as_graph"),
        "variants": {variant.name: _of_variant(variant) for variant in manifest.variants},
    }


def _of_variant(variant: Variant) -> dict[str, Any]:
    return {
        "macs": variant.macs,
        "parameters": variant.parameters,
        "converted": sum(layer.converted for layer in variant.layers),
        "metrics": _metrics(variant.evaluation),
    }


def _metrics(evaluation: HostEvaluation | None) -> dict[str, float | None]:
    if evaluation is None:
        return {}
    return {name: getattr(metric, "value", None) for name, metric in evaluation.metrics.items()}


def _speeds(report: Mapping[str, Any]) -> dict[str, Any]:
    """By variant: its state, its median, how many times faster than the dense network it is, and what is doubtful."""
    [result] = report["results"]
    return {
        cell["variant"]: {
            "state": cell["state"],
            "reason": cell["reason"],
            "median_ms": None if cell["latency"] is None else cell["latency"]["median_ms"],
            "speedup": None if cell["speedup"] is None else cell["speedup"]["ratio"],
            "interval": None if cell["speedup"] is None else cell["speedup"]["interval"],
            "flags": [flag["code"] for flag in cell["flags"]],
        }
        for cell in result["facts"]["measurements"]
    }
