"""Checks that weights fit a network, with a description of the differences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from gdws.errors import CheckpointMismatch
from gdws.networks.checkpoints.files import shortened


def unexpected(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> list[str]:
    """The keys of ``weights`` that the network does not have."""
    expected = model.state_dict()
    return [key for key in weights if key not in expected]


def require_fit(model: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Check that the file has every tensor of the network with its shape, and no others.

    BN counts its batches since torch 0.4.1; older files lack the counter, which evaluation does not use.
    Raises :class:`CheckpointMismatch`.
    """
    expected = model.state_dict()
    missing = [key for key in expected if key not in weights and not key.endswith("num_batches_tracked")]
    stray = unexpected(model, weights)
    wrong_shape = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    if not (missing or stray or wrong_shape):
        return
    shapes = [f"{key} {tuple(weights[key].shape)} instead of {tuple(expected[key].shape)}" for key in wrong_shape]
    parts = [
        f"{len(keys)} {what}: {shortened(keys)}"
        for what, keys in (("missing", missing), ("unexpected", stray), ("of another shape", shapes))
        if keys
    ]
    message, hint = f"does not fit the network; {'; '.join(parts)}", "choose the network that was trained"
    hint += ", with the same options"
    classes = None if missing or stray else _classes(expected, weights, wrong_shape)
    if classes is not None:
        message = f"has {classes[0]} classes, the network {classes[1]}"
        hint = f"build the network for {classes[0]} classes: --net-option classes={classes[0]}"
    raise CheckpointMismatch(
        f"{path} {message}",
        path=str(path),
        missing=missing,
        unexpected=stray,
        wrong_shape=wrong_shape,
        hint=hint,
    )


def _classes(
    expected: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], wrong_shape: list[str]
) -> tuple[int, int] | None:
    """The numbers of classes of the file and of the network, if they differ in nothing else."""
    last = [key for key, tensor in expected.items() if tensor.ndim == 2][-1:]
    if not last or set(wrong_shape) - {last[0], f"{last[0].removesuffix('weight')}bias"}:
        return None
    ours, theirs = expected[last[0]], weights[last[0]]
    return (len(theirs), len(ours)) if theirs.shape[1:] == ours.shape[1:] else None
