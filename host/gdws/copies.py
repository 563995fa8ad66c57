"""Copies of networks."""

from __future__ import annotations

import copy

from torch import nn

from gdws.errors import ModelError


def copied(model: nn.Module) -> nn.Module:
    """A deep copy. Raises :class:`~gdws.errors.ModelError` for a network that holds results of a computation."""
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:  # torch refuses to copy tensors that are results of a computation
        raise ModelError(
            f"the model cannot be copied: {error}",
            hint="make computed weights, such as weight_norm, permanent",
        ) from error
