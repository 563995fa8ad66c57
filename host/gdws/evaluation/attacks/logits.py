"""Logits for attacks, also of networks that end in a softmax, sigmoid or tanh.

These functions preserve the order of the classes and hence each prediction, but their derivative is 0 where they
saturate in float32. Attacks therefore use their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the customary name)
from torch.overrides import TorchFunctionMode

#: Functions that grow with each logit, at least along the classes; the first argument is what they are given.
_ORDER_PRESERVING = frozenset(
    {
        torch.softmax, F.softmax, Tensor.softmax,
        torch.log_softmax, F.log_softmax, Tensor.log_softmax,
        torch.sigmoid, F.sigmoid, Tensor.sigmoid, F.logsigmoid,
        torch.tanh, F.tanh, Tensor.tanh, torch.log, Tensor.log,
    }
)  # fmt: skip

#: Step functions, which have no gradient. In a straight-through pass gradients pass through them unchanged.
_STEPS = frozenset(
    {
        torch.round, Tensor.round, torch.floor, Tensor.floor, torch.ceil, Tensor.ceil, torch.trunc, Tensor.trunc,
        torch.fix, Tensor.fix, torch.sign, Tensor.sign, torch.sgn, Tensor.sgn,
    }
)  # fmt: skip

#: Clips have no gradient at their very ends in torch, where the pixels of many images are: black and white.
_CLIPS = frozenset(
    {
        torch.clamp, Tensor.clamp, torch.clip, Tensor.clip, torch.clamp_min, Tensor.clamp_min, torch.clamp_max,
        Tensor.clamp_max, F.hardtanh, torch.relu, Tensor.relu, F.relu, F.relu6,
    }
)  # fmt: skip

#: Tolerance of the sum of a row that counts as probabilities.
_SUM_TOLERANCE = 1e-3


class Logits(nn.Module):
    """``network`` without a squashing function of its logits (N, classes) at the very end; the weights are shared.

    Other probabilities are replaced by their logarithms, which have the same softmax. With ``straight_through``,
    gradients pass unchanged through rounding and signs anywhere in the network (the backward pass differentiable
    approximation of Athalye et al., 2018, arXiv:1802.00420), and through clips wherever these change nothing; the
    outputs are not affected.
    """

    def __init__(self, network: nn.Module, *, straight_through: bool = False) -> None:
        super().__init__()
        self.network = network
        self.straight_through = straight_through

    def forward(self, x: Tensor) -> Tensor:
        """The logits of images (N, C, H, W)."""
        watch = _Watch(self.straight_through)
        with watch:
            outputs = self.network(x)
        return as_logits(watch.before(outputs))


def are_probabilities(outputs: Tensor) -> Tensor:
    """Which rows of ``outputs`` (N, classes) are not negative and sum to 1, (N,) bool."""
    sums_to_one = (outputs.sum(dim=1) - 1).abs() <= _SUM_TOLERANCE
    return (outputs >= 0).all(dim=1) & sums_to_one


def as_logits(outputs: Tensor) -> Tensor:
    """``outputs`` (N, classes) with the logarithm taken of rows that are probabilities."""
    if outputs.ndim != 2:
        return outputs
    rows = are_probabilities(outputs.detach())
    if not bool(rows.any()):
        return outputs
    # The clamp comes first: where it holds, the gradient of the logarithm would be infinite.
    logarithms = outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()
    return torch.where(rows[:, None], logarithms, outputs)


class _Watch(TorchFunctionMode):
    """Records inputs of order-preserving functions; optionally passes gradients through steps and the ends of clips."""

    def __init__(self, straight_through: bool) -> None:
        super().__init__()
        self._straight_through = straight_through
        self._squashed: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _ORDER_PRESERVING and args and _along_classes(result, args[1:], kwargs or {}):
            self._squashed.append((args[0], result))
        elif self._straight_through and args and _differs_smoothly(args[0], result):
            if func in _STEPS:
                return args[0] + (result - args[0]).detach()
            if func in _CLIPS and result is not args[0]:
                return torch.where(result == args[0], args[0], result)
        return result

    def before(self, outputs: Tensor) -> Tensor:
        """The tensor from which order-preserving functions computed ``outputs``, or ``outputs`` itself."""
        for given, result in reversed(self._squashed):
            if result is outputs:
                outputs = given
        return outputs


def _along_classes(result: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a function of logits (N, classes) worked on each row, or on each entry, alone."""
    axis = args[0] if args else kwargs.get("dim", 1)
    return isinstance(result, Tensor) and result.ndim == 2 and axis in (1, -1)


def _differs_smoothly(given: object, result: object) -> bool:
    return isinstance(given, Tensor) and isinstance(result, Tensor) and given.requires_grad
