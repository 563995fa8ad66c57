"""One network through the commands that a user runs: convert, bench, report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.any_network import images
from benchmarks.any_network.networks import Network
from benchmarks.any_network.packages import unpacked
from gdws_contract.archive import open_bundle
from gdws_contract.manifest import HostEvaluation, Variant

#: Of each channel; in the layout ``stacked``, which runs fastest on most machines.
RANK = 2
_FITTED, _COMPARED, _REPLAYED = 48, 32, 4


class Refused(Exception):
    """A command ended with an error; the message is its own."""


def trial(network: Network, folder: Path) -> dict[str, Any]:
    """What became of ``network``; ``refused`` has the words of the command that went no further.

    ``folder`` keeps the bundle, the result and the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"name": network.name, "task": network.task, "package": network.package}
    try:
        notes = _gdws(
            "convert", *_source(network), *_recipes(network), "--out", str(folder / "bundle.gdws"), by=network
        )
        found["notes"] = [
            line.removeprefix("note: ").replace(str(Path.home()), "~")
            for line in notes.splitlines()
            if line.startswith("note: ")
        ]
        found |= _described(folder / "bundle.gdws")
        _gdws("bench", str(folder / "bundle.gdws"), *_MEASURED, "--out", str(folder / "result.json"), by=network)
        _gdws("report", str(folder / "result.json"), "--out", str(folder / "report.json"), by=network)
        found["speed"] = _speeds(json.loads((folder / "report.json").read_text()))
    except Refused as error:
        found["refused"] = str(error)
    return found


#: One thread, so that networks are compared and not schedulers; on the local agent.
_MEASURED = ("--batch", "1", "--threads", "1", "--rounds", "10", "--min-duration", "1", "--quiet")


def _source(network: Network) -> list[str]:
    path = str(unpacked(network.package) / network.file)
    shape = [] if network.shape is None else ["--input-shape", network.shape]
    source = ["--onnx", path] if network.module is None else [path, "--module", network.module]
    return [*source, *shape, *network.options]


def _recipes(network: Network) -> list[str]:
    own = network.images in images.kinds()
    data = str(images.folder(network.images)) if own else network.images
    noise = network.images == "random"
    return [
        *("--data", data, "--attack", "none", "--alphas", "0", "--layout", "stacked", "--quiet"),
        *("--method", "weights" if noise else "data-aware", "--calibration", str(_FITTED)),
        *("--images", "0" if noise else str(_COMPARED), "--verification", str(_REPLAYED)),
        *("--mean-rank", str(RANK)),
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
        manifest = bundle.manifest
    layers = [layer for variant in manifest.variants for layer in variant.layers]
    return {
        "kind": manifest.task.kind,
        "convolutions": len({layer.name for layer in layers if len(layer.shape) > 2}),
        "converted": len({layer.name for layer in layers if layer.converted}),
        "kept_as_graph": manifest.provenance.get("kept_as_graph"),
        "variants": {variant.name: _of_variant(variant) for variant in manifest.variants},
    }


def _of_variant(variant: Variant) -> dict[str, Any]:
    return {"macs": variant.macs, "parameters": variant.parameters, "metrics": _metrics(variant.evaluation)}


def _metrics(evaluation: HostEvaluation | None) -> dict[str, float | None]:
    if evaluation is None:
        return {}
    return {name: getattr(metric, "value", None) for name, metric in evaluation.metrics.items()}


def _speeds(report: dict[str, Any]) -> dict[str, Any]:
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
