"""HYDRA's masks: scores that decide which weights a layer keeps (Sehwag et al., 2020, arXiv:2002.10509)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

SCORES = "popup_scores"


def has_scores(weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether any layer has scores."""
    return any(key.endswith(f".{SCORES}") for key in weights)


def keep_best(weight: torch.Tensor, scores: torch.Tensor, kept: float) -> torch.Tensor:
    """``weight`` with the lowest ``int((1 - kept) * n)`` of its n entries set to zero, by absolute score.

    Of equal scores those that come first are lower.
    """
    order = scores.abs().flatten().argsort(stable=True)
    masked = weight.flatten().clone()
    masked[order[: int((1 - kept) * order.numel())]] = 0
    return masked.view_as(weight)


def apply_scores(weights: Mapping[str, torch.Tensor], kept: float) -> dict[str, torch.Tensor]:
    """A state dict without scores, in which each layer that had them keeps the share ``kept`` of its weights.

    Raises :class:`ValueError` if ``kept`` is not in (0, 1], or the scores of a layer are not shaped like its weight.
    """
    if not 0 < kept <= 1:
        raise ValueError(f"the fraction of weights to keep is {kept:g}, but must be greater than 0 and at most 1")
    masked = {key: tensor for key, tensor in weights.items() if not key.endswith(f".{SCORES}")}
    for key, scores in weights.items():
        if key not in masked:
            name = f"{key.removesuffix(SCORES)}weight"
            if name not in masked or masked[name].shape != scores.shape:
                raise ValueError(f"there is no weight with the shape of {key}, {tuple(scores.shape)}")
            masked[name] = keep_best(masked[name], scores, kept)
    return masked
