"""GDWS networks in files: the plan and the weights, which together are the network.

A file is safetensors as :func:`gdws.networks.checkpoints.save` writes it. Its metadata name the network that was
converted (``net``, ``net_options``) and hold the plan, from which the GDWS layers are built; the tensors are the state
dict of the GDWS network. So factors that no plan can give again, such as fine-tuned ones, are kept. A bundle has the
same: its provenance names the network, and the initialisers of a variant's ONNX file are the state dict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from torch import nn

from gdws.algorithms.spectrum import Factors
from gdws.compression import surgery
from gdws.errors import CheckpointMismatch, CheckpointUnreadable, GdwsError
from gdws.networks import checkpoints
from gdws.networks import zoo as nets
from gdws_contract.archive import Bundle, open_bundle
from gdws_contract.plan import LayerPlan, Plan

_PLAN = "plan"
BUNDLE_SUFFIX = ".gdws"


@dataclass(frozen=True, eq=False)
class Converted:
    """A GDWS network on the CPU, in evaluation mode; ``metadata`` tells how it was made, text by field."""

    module: nn.Module
    plan: Plan
    net: str
    metadata: Mapping[str, str]


def save(path: str | Path, weights: Mapping[str, torch.Tensor], plan: Plan, provenance: Mapping[str, Any]) -> None:
    """Write the state dict of a GDWS network with its ``plan``, whole or not at all.

    ``provenance`` has ``net`` and ``net_options`` of the network that was converted, and what else is worth knowing;
    values that are no text are stored as JSON.
    Raises :class:`~gdws.errors.NonFiniteWeights` and :class:`OSError`.
    """
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in provenance.items()}
    checkpoints.save(path, weights, {**fields, _PLAN: json.dumps(plan.to_dict())})


def find(path: str | Path, variant: str | None = None) -> Converted | None:
    """The GDWS network in a file: a bundle's ``variant``, or what :func:`save` wrote; None if it is neither.

    Raises as :func:`load` and :func:`load_variant`.
    """
    path = Path(path)
    if path.suffix == BUNDLE_SUFFIX:
        return load_variant(path, variant)
    if path.is_file() and _PLAN in checkpoints.read_metadata(path):
        return load(path)
    return None


def load(path: str | Path) -> Converted:
    """The GDWS network in a file that :func:`save` wrote.

    Raises :class:`~gdws.errors.CheckpointUnreadable` if there is none, :class:`~gdws.errors.CheckpointMismatch` if
    network, plan and weights do not belong together, and :class:`~gdws.errors.NonFiniteWeights`.
    """
    path = Path(path)
    checkpoint = checkpoints.read(path)
    metadata = checkpoint.metadata
    if _PLAN not in metadata or "net" not in metadata:
        raise CheckpointUnreadable(
            f"{path} holds no GDWS network", path=str(path), hint="gdws finetune writes such files"
        )
    try:
        plan = Plan.from_json(metadata[_PLAN])
        options = json.loads(metadata.get("net_options", "{}"))
    except ValueError as error:
        raise CheckpointUnreadable(f"{path}: damaged metadata: {error}", path=str(path)) from error
    return Converted(_build(metadata["net"], options, plan, checkpoint.weights, path), plan, metadata["net"], metadata)


def load_variant(path: str | Path, name: str | None = None) -> Converted:
    """The GDWS network called ``name`` in a bundle; without a name the only one.

    Raises :class:`~gdws.errors.GdwsError` if there is no such variant, or the bundle's networks cannot be built by
    name, and what reading a bundle raises, see :mod:`gdws_contract.errors`.
    """
    with open_bundle(path) as bundle:
        provenance = bundle.manifest.provenance
        plans = {variant.name: variant.plan for variant in bundle.manifest.variants if variant.plan is not None}
        if name is None and len(plans) == 1:
            [name] = plans
        if name not in plans:
            problem = "which network is not said" if name is None else f"there is no GDWS network {name!r}"
            raise GdwsError(f"{path}: {problem}", hint=f"choose by --variant one of: {', '.join(plans) or 'none'}")
        net, options = provenance.get("net"), provenance.get("net_options", {})
        if not isinstance(net, str) or not isinstance(options, dict):
            raise GdwsError(
                f"{path} does not name the network it was made from",
                hint="a bundle of another model cannot be fine-tuned; convert and fine-tune the model in Python",
            )
        plan = Plan.from_json(bundle.read(plans[name]))
        weights = _initialisers(bundle, name)
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in provenance.items()}
    return Converted(_build(net, options, plan, weights, Path(path)), plan, net, metadata)


def _build(
    net: str, options: Mapping[str, Any], plan: Plan, weights: Mapping[str, torch.Tensor], path: Path
) -> nn.Module:
    checkpoints.require_finite(weights)
    try:
        with torch.random.fork_rng(devices=[]):
            module = frame(nets.build(net, **options), plan)
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except (GdwsError, RuntimeError, TypeError) as error:
        raise CheckpointMismatch(
            f"{path}: network, plan and weights do not belong together: {error}", path=str(path)
        ) from error
    parameters = {name for name, _ in module.named_parameters()}
    statistics = {key for key in missing if key.endswith(("running_mean", "running_var"))}
    if absent := sorted(parameters.intersection(missing) | statistics):
        raise CheckpointMismatch(f"{path} lacks weights: {', '.join(absent[:3])}", path=str(path), missing=absent)
    if unexpected:
        raise CheckpointMismatch(
            f"{path} has weights of no layer: {', '.join(unexpected[:3])}", path=str(path), unexpected=unexpected
        )
    return module.eval()


def _initialisers(bundle: Bundle, name: str) -> dict[str, torch.Tensor]:
    """The parameters and statistics in a variant's ONNX file, which names them as the module did."""
    [variant] = [variant for variant in bundle.manifest.variants if variant.name == name]
    graph = onnx.load_model_from_string(bundle.read(variant.onnx)).graph
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # Constants of a node, called <path>/<operator>.<n>, and positions of a gather follow from network and plan.
    state = {key: array for key, array in found.items() if "/" not in key and array.dtype == np.float32}
    return {key: torch.from_numpy(array.copy()) for key, array in state.items()}


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
