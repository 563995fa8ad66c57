"""A network that cannot be rebuilt in torch: convolutions, then an LSTM over the columns of their maps."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from support.onnx_graphs import model

HEIGHT, WIDTH, CLASSES = 12, 8, 5
#: A convolution padded on one side, one without bias, one in groups; then a recurrent layer over the columns.
CONVOLUTIONS = [
    helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "stem", auto_pad="SAME_UPPER", strides=[2, 2]),
    helper.make_node("Relu", ["c1"], ["r1"], "relu"),
    helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "body.0/Conv", pads=[0, 1, 1, 1]),
    helper.make_node("Conv", ["c2", "w3"], ["c3"], "body.1/Conv", pads=[1, 1, 1, 1]),
    helper.make_node("Conv", ["c3", "w4"], ["c4"], "groups", group=3),
]
RECURRENT = [
    helper.make_node("Transpose", ["c4"], ["t"], "columns", perm=[3, 0, 1, 2]),
    helper.make_node("Reshape", ["t", "flat"], ["sequence"], "flatten"),
    helper.make_node("LSTM", ["sequence", "lw", "lr"], ["", "h"], "lstm", hidden_size=4),
    helper.make_node("Squeeze", ["h", "first"], ["last"], "squeeze"),
    helper.make_node("Gemm", ["last", "head"], ["y"], "classifier"),
]


def tensors(channels: int = 2) -> dict[str, np.ndarray]:
    """The weights for images of so many ``channels``, by name."""
    rng = np.random.default_rng(0)
    shapes = {
        "w1": (6, channels, 3, 3),
        "b1": (6,),
        "w2": (6, 6, 2, 3),
        "b2": (6,),
        "w3": (6, 6, 3, 3),
        "w4": (6, 2, 1, 1),
        "lw": (1, 16, 36),
        "lr": (1, 16, 4),
        "head": (4, CLASSES),
    }
    weights = {name: (0.4 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    return {**weights, "flat": np.int64([0, 0, -1]), "first": np.int64([0])}


def recurrent(channels: int = 2) -> onnx.ModelProto:
    """The whole network: images (n, channels, HEIGHT, WIDTH) to (n, CLASSES)."""
    shape = ["n", channels, HEIGHT, WIDTH]
    return model([*CONVOLUTIONS, *RECURRENT], tensors(channels), shape, ["n", CLASSES])
