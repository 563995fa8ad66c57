"""One network of pytorchcv: built, converted at full rank and at mean rank 3, exported, run in ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnxruntime
import torch
from pytorchcv.model_provider import get_model
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import gdws
from gdws.errors import GdwsError
from gdws.onnx_io.export import export
from gdws_contract.plan import Plan

SMALL, USUAL = 64, 224
IMAGES = 2


def trial(name: str) -> dict[str, Any]:
    """What became of the network ``name``; under ``refused`` the words of the tool, where it could not go on.

    Differences are the largest over all logits, over the largest logit of the network that is the reference: of the
    network as built for full rank, in torch and in ONNX Runtime, and of the converted one in torch for mean rank 3.
    """
    torch.manual_seed(0)
    model, size = build(name)
    images = torch.rand(IMAGES, 3, size, size)
    found: dict[str, Any] = {"name": name, "size": size}
    try:
        logits = run(model, images)
        full, plan = gdws.convert(model, beta=0.0, example_input=images[:1])
        found |= summary(plan)
        found["full_rank_torch"] = difference(run(full, images), logits)
        found["full_rank_onnx"] = difference(in_onnx_runtime(full, images), logits)
        small, plan = gdws.convert(model, mean_rank=3, example_input=images[:1])
        found["parameters_rank_3"] = plan.totals.parameters_gdws
        found["macs_rank_3"] = plan.totals.macs_gdws
        found["rank_3_onnx"] = difference(in_onnx_runtime(small, images), run(small, images))
    except GdwsError as error:
        found["refused"] = f"{type(error).__name__}: {error}" + (f" ({error.hint})" if error.hint else "")
    return found


def build(name: str) -> tuple[nn.Module, int]:
    """The network with random weights, and the side of the smallest images that it takes, of a few."""
    sizes = (32,) if name.endswith("_cifar10") else (SMALL, USUAL, 299)
    for size in sizes:
        try:
            model = _made(name, size)
            run(model, torch.rand(IMAGES, 3, size, size))
        except (RuntimeError, ValueError, AssertionError):
            continue
        settle(model, torch.rand(4, 3, size, size))
        return model, size
    raise RuntimeError(f"{name} runs at none of the sizes {sizes}")


def _made(name: str, size: int) -> nn.Module:
    try:
        model: nn.Module = get_model(name, in_size=(size, size))
    except TypeError:  # some have a size of their own, and take no other
        model = get_model(name)
    return model.eval()


@torch.no_grad()
def settle(model: nn.Module, images: Tensor) -> None:
    """Set the statistics of batch normalisation to those of ``images``, so that random weights give sane logits."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    kept = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
        layer.train()
    model(images)
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
        layer.eval()


@torch.no_grad()
def run(model: nn.Module, images: Tensor) -> Any:
    """What the network returns in evaluation mode: logits, for a classifier."""
    return model(images)


def in_onnx_runtime(model: nn.Module, images: Tensor) -> Tensor:
    """The logits of the exported network."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(export(model, images.shape[1:]), options, providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"input": images.numpy()})
    return torch.from_numpy(np.asarray(logits))


def difference(found: Any, expected: Any) -> float | None:
    """The largest difference over the largest |expected|; None where the outputs are no tensors."""
    if not isinstance(found, Tensor) or not isinstance(expected, Tensor):
        return None
    scale = float(expected.abs().max())
    return float((found.double() - expected.double()).abs().max()) / max(scale, 1e-30)


def summary(plan: Plan) -> dict[str, Any]:
    """Counts of the plan at full rank; ``left_alone`` counts convolutions by reason."""
    convolutions = [layer for layer in plan.layers if layer.kind != "linear"]
    reasons = Counter(layer.left_alone for layer in convolutions if layer.left_alone is not None)
    totals = plan.totals
    return {
        "convolutions": len(convolutions),
        "converted": totals.converted,
        "left_alone": dict(sorted(reasons.items())),
        "parameters": totals.parameters_dense,
        "parameters_full_rank": totals.parameters_gdws,
        "macs": totals.macs_dense,
        "macs_full_rank": totals.macs_gdws,
    }
