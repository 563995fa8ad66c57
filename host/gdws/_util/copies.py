"""Copies of networks."""

from __future__ import annotations

import copy

from torch import nn

from gdws.errors import ModelError, first_line


def copied(model: nn.Module) -> nn.Module:
    """A deep copy. Raises :class:`~gdws.errors.ModelError` for a network that stores results of a computation."""
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:  # e.g. results of a computation
        raise ModelError(
            f"the model cannot be copied: {first_line(error)}",
            hint="make computed weights, such as weight_norm, permanent",
        ) from error
