"""What single layers of a network take and give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gdws.calls import observed
from gdws.errors import ModelError
from gdws.gradient_norms import Call


class _Enough(Exception):
    """All calls were seen; the rest of the network need not run."""


class Seen(NamedTuple):
    """One call of a convolution: its input (B, C, H, W) and its output (B, M, H', W'), the bias taken off."""

    convolution: nn.Conv2d
    input: Tensor
    output: Tensor


def run_until(model: nn.Module, convolutions: Sequence[nn.Conv2d], calls: int, x: Tensor) -> list[Seen]:
    """Run ``x`` (B, C, H, W) until the ``convolutions`` were called ``calls`` times; return what they took and gave.

    Raises :class:`~gdws.errors.ModelError` if there are fewer calls.
    """
    seen: list[Seen] = []

    def note(module: nn.Module, x_in: Tensor, output: Tensor) -> None:
        convolution = cast(nn.Conv2d, module)
        # Copies, as a later operation in place must not change them.
        seen.append(Seen(convolution, x_in.clone(), without_bias(convolution, output)))
        if len(seen) == calls:
            raise _Enough

    try:
        with torch.no_grad(), observed((convolution, note) for convolution in convolutions):
            model(x)
    except _Enough:
        return seen
    raise ModelError(
        f"a layer was called {len(seen)} times, and {calls} times on one sample",
        hint="the network must take the same way for every input",
    )


def without_bias(convolution: nn.Conv2d, output: Tensor) -> Tensor:
    """A copy of an output (B, M, H', W') of the convolution, less its bias."""
    return output.clone() if convolution.bias is None else output - convolution.bias[:, None, None]


def patches(convolution: nn.Conv2d, x: Tensor, output: Tensor) -> Tensor:
    """The patches under the filter that ``x`` (B, C, H, W) is cut into, as columns (C*Kh*Kw, B*P)."""
    call = Call.of(convolution, x, output)
    unfolded = functional.unfold(call.padded, call.kernel_size, call.dilation, 0, call.stride)
    return unfolded.transpose(0, 1).flatten(1)


def by_channel(output: Tensor) -> Tensor:
    """(B, M, H', W') -> (M, B*P), in the order of :func:`patches`."""
    return output.transpose(0, 1).flatten(1)
