"""Moves the batch to the front of outputs where it is another axis, as recurrent layers give (T, N, K)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from torch import Tensor, nn

from gdws._util.outputs import tensors_in
from gdws.onnx_io.batch import declare_any_batch
from gdws.onnx_io.run import CannotRun, Runner

_SIZES = (2, 3)


class BatchFirst(nn.Module):
    """``network`` with the axis of the batch, ``axes`` by output, moved to the front."""

    def __init__(self, network: nn.Module, axes: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.axes = tuple(axes)
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs (N, ...) for ``images`` (N, ...)."""
        outputs = tensors_in(self.network(images))
        moved = tuple(output.movedim(axis, 0) for output, axis in zip(outputs, self.axes, strict=True))
        return moved[0] if len(moved) == 1 else moved


def batch_axes(model: onnx.ModelProto, shape: Sequence[int]) -> tuple[int, ...]:
    """The axis of each output that has the size of the batch, for inputs (N, ...) of ``shape`` in float32.

    0 where no axis, or more than one, follows the batch size, and where the model does not run at another one.
    """
    free = onnx.ModelProto()
    free.CopyFrom(model)
    declare_any_batch(free)
    none = (0,) * len(model.graph.output)
    try:
        runner = Runner(free.SerializeToString())
        [name] = runner.inputs
        small, large = (
            [array.shape for array in runner({name: np.zeros((size, *shape), np.float32)})] for size in _SIZES
        )
    except CannotRun:
        return none
    return tuple(_axis(*pair) for pair in zip(small, large, strict=True))


def _axis(small: Sequence[int], large: Sequence[int]) -> int:
    if len(small) != len(large):
        return 0
    following = [axis for axis, sizes in enumerate(zip(small, large, strict=True)) if sizes == _SIZES]
    return following[0] if len(following) == 1 else 0
