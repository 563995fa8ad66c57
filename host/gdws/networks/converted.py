"""GDWS networks in files, as a plan with weights.

A file is safetensors as written by :func:`gdws.networks.checkpoints.save`. Its metadata name the original network
(``net``, ``net_options``) and contain the plan, from which the GDWS layers are built; the tensors are the state dict of
the GDWS network, including factors that the plan alone cannot reproduce, such as fine-tuned ones. A bundle has the
same: its provenance names the network, and the initialisers of a variant's ONNX file are the state dict.

A network of the zoo is built from its name. For any other network the file has only an identification, since it
contains no code: the dense network must be given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import onnx
import torch
from torch import nn

from gdws.algorithms.spectrum import Factors
from gdws.bundles.variant import GdwsStep, Step
from gdws.compression import surgery
from gdws.errors import CheckpointMismatch, CheckpointUnreadable, GdwsError
from gdws.networks import checkpoints
from gdws.networks import zoo as nets
from gdws_contract.archive import Bundle, open_bundle
from gdws_contract.plan import LayerPlan, Plan
from gdws_contract.steps import FineTuneStep

_PLAN = "plan"
BUNDLE_SUFFIX = ".gdws"
#: The fields of a network's provenance that identify it independently of its weights.
_IDENTITY = ("net", "net_options", "onnx_sha256", "module", "module_options", "removed_channels")


class Dense(Protocol):
    """The network that was converted, as :class:`gdws.networks.sources.Source` has it."""

    @property
    def module(self) -> nn.Module:
        """The dense network; its weights do not matter."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Its provenance."""


@dataclass(frozen=True, eq=False)
class Converted:
    """A GDWS network on the CPU, in evaluation mode; ``metadata`` describes its origin, text by field."""

    module: nn.Module
    plan: Plan
    metadata: Mapping[str, str]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps applied to the dense network."""
        return steps_of(self.plan, self.metadata)


def steps_of(plan: Plan, metadata: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps to a network by ``plan`` from the dense one: conversion, and fine-tuning according to ``metadata``."""
    converted = GdwsStep(plan)
    if "finetuning" not in metadata:
        return (converted,)
    epoch = json.loads(metadata.get("validation", "{}")).get("epoch")
    return converted, FineTuneStep(epochs=epoch, data=metadata.get("data"))


def save(path: str | Path, weights: Mapping[str, torch.Tensor], plan: Plan, provenance: Mapping[str, Any]) -> None:
    """Write the state dict of a GDWS network with its ``plan``, atomically.

    ``provenance`` is that of the original network with any further fields; values that are not text are stored as JSON.
    Raises :class:`~gdws.errors.NonFiniteWeights` and :class:`OSError`.
    """
    checkpoints.save(path, weights, {**as_text(provenance), _PLAN: json.dumps(plan.to_dict())})


def find(path: str | Path, variant: str | None = None, *, dense: Dense | None = None) -> Converted | None:
    """The GDWS network in a file: a bundle's ``variant``, or what :func:`save` wrote; None if it is neither.

    Raises as :func:`load` and :func:`load_variant`, and :class:`~gdws.errors.GdwsError` for a ``variant`` of a file
    that is not a bundle.
    """
    path = Path(path)
    if path.suffix == BUNDLE_SUFFIX:
        return load_variant(path, variant, dense=dense)
    if variant is not None:
        raise GdwsError(f"{path} is not a bundle", hint="leave out --variant")
    if path.is_file() and _PLAN in checkpoints.read_metadata(path):
        return load(path, dense=dense)
    return None


def load(path: str | Path, *, dense: Dense | None = None) -> Converted:
    """The GDWS network in a file that :func:`save` wrote, made from ``dense``; without it from a network of the zoo.

    Raises :class:`~gdws.errors.CheckpointUnreadable` if there is none, :class:`~gdws.errors.CheckpointMismatch` if
    network, plan and weights do not belong together, :class:`~gdws.errors.GdwsError` if it was made from another
    network, and :class:`~gdws.errors.NonFiniteWeights`.
    """
    path = Path(path)
    checkpoint = checkpoints.read(path)
    metadata = checkpoint.metadata
    if _PLAN not in metadata:
        raise CheckpointUnreadable(
            f"{path} is not a GDWS network", path=str(path), hint="such files are written by gdws finetune"
        )
    try:
        plan = Plan.from_json(metadata[_PLAN])
        base = _dense(metadata, path) if dense is None else _checked(dense, metadata, path)
    except ValueError as error:
        raise CheckpointUnreadable(f"{path}: damaged metadata: {error}", path=str(path)) from error
    return Converted(_build(base, plan, checkpoint.weights, path), plan, metadata)


def load_variant(path: str | Path, name: str | None = None, *, dense: Dense | None = None) -> Converted:
    """The GDWS network called ``name`` in a bundle; without a name the only one. ``dense`` as for :func:`load`.

    Raises :class:`~gdws.errors.GdwsError` if there is no such variant or it was made from another network, and what
    reading a bundle raises, see :mod:`gdws_contract.errors`.
    """
    path = Path(path)
    with open_bundle(path) as bundle:
        provenance = bundle.manifest.provenance
        plans = {variant.name: variant.plan for variant in bundle.manifest.variants if variant.plan is not None}
        if name is None and len(plans) == 1:
            [name] = plans
        if name not in plans:
            problem = (
                "the bundle has several GDWS networks or none" if name is None else f"there is no GDWS network {name!r}"
            )
            raise GdwsError(f"{path}: {problem}", hint=f"choose one with --variant: {', '.join(plans) or 'none'}")
        plan = Plan.from_json(bundle.read(plans[name]))
        weights = _initialisers(bundle, name)
    metadata = as_text(provenance)
    base = _dense(metadata, path) if dense is None else _checked(dense, metadata, path)
    return Converted(_build(base, plan, weights, path), plan, metadata)


def as_text(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return ``provenance`` as the metadata of a file hold it: values that are not text as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in provenance.items()}


def _dense(metadata: Mapping[str, str], path: Path) -> nn.Module:
    """The network of the zoo that ``metadata`` name. Raises :class:`~gdws.errors.GdwsError` if they name none."""
    if "net" not in metadata:
        raise GdwsError(
            f"{path} was not made from a network of the zoo",
            hint="also give the original network, with --onnx or --module",
        )
    options = json.loads(metadata.get("net_options", "{}"))
    try:
        with torch.random.fork_rng(devices=[]):
            return nets.build(metadata["net"], **options)
    except (GdwsError, TypeError) as error:
        raise CheckpointMismatch(f"{path}: its network cannot be built: {error}", path=str(path)) from error


def _checked(dense: Dense, metadata: Mapping[str, str], path: Path) -> nn.Module:
    require_made_from(dense, metadata, path)
    return dense.module


def require_made_from(dense: Dense, metadata: Mapping[str, str], path: Path) -> None:
    """Raise :class:`~gdws.errors.GdwsError` unless ``dense`` is the network that the metadata of a file identify."""
    ours = as_text(dense.provenance)
    if any(ours.get(key) != metadata.get(key) for key in _IDENTITY):
        made_from = metadata.get("net") or metadata.get("onnx") or metadata.get("module") or "another network"
        raise GdwsError(f"{path} was made from {made_from}", hint="give the network from which it was made")


def _build(dense: nn.Module, plan: Plan, weights: Mapping[str, torch.Tensor], path: Path) -> nn.Module:
    checkpoints.require_finite(weights)
    try:
        module = frame(dense, plan)
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except (GdwsError, RuntimeError, TypeError) as error:
        raise CheckpointMismatch(f"{path}: network, plan and weights do not match: {error}", path=str(path)) from error
    parameters = {name for name, _ in module.named_parameters()}
    statistics = {key for key in missing if key.endswith(("running_mean", "running_var"))}
    if absent := sorted(parameters.intersection(missing) | statistics):
        raise CheckpointMismatch(f"{path} lacks weights: {', '.join(absent[:3])}", path=str(path), missing=absent)
    # Constants of an ONNX file's node, called <path>/<operator>.<n>, follow from network and plan.
    if unexpected := [key for key in unexpected if "/" not in key]:
        raise CheckpointMismatch(
            f"{path} has unexpected weights: {', '.join(unexpected[:3])}", path=str(path), unexpected=unexpected
        )
    return module.eval()


def _initialisers(bundle: Bundle, name: str) -> dict[str, torch.Tensor]:
    """The parameters and statistics in a variant's ONNX file, which names them as the module did."""
    [variant] = [variant for variant in bundle.manifest.variants if variant.name == name]
    graph = onnx.load_model_from_string(bundle.read(variant.onnx)).graph
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {key: torch.from_numpy(array.copy()) for key, array in found.items() if array.dtype == np.float32}


def frame(network: nn.Module, plan: Plan) -> nn.Module:
    """A copy of ``network`` with the layers of ``plan`` as GDWS convolutions whose factors are zeros, to be loaded.

    Raises :class:`~gdws.errors.PlanError` if the plan does not fit.
    """
    with_biases = surgery.apply(Plan(layers=()), network)  # a copy
    modules = dict(with_biases.named_modules())
    for layer in plan.converted:
        conv = modules.get(layer.name)
        if layer.bias_added and isinstance(conv, nn.Conv1d | nn.Conv2d):
            conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
    return surgery.apply(plan, with_biases, factors={layer.name: _zeros(layer) for layer in plan.converted})


def _zeros(layer: LayerPlan) -> Factors:
    M, C, Kh, Kw = layer.weight_shape
    ranks = np.array(cast("tuple[int, ...]", layer.ranks), dtype=np.int64)
    total = int(ranks.sum())
    return Factors(np.repeat(np.arange(C), ranks), np.zeros((total, Kh, Kw)), np.zeros((M, total)))
