"""The network that a first run measures: one function, as a dense network and in each layout of GDWS.

A residual network of 3x3 convolutions with random weights. Each of its convolutions but the first is made from
``rank`` depthwise filters for each input channel and a pointwise convolution, so its dense weight has exactly that
GDWS form (Eq. (3) of the paper), and all forms compute the same function but for rounding.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from .onnx_file import Attribute, Node, Value, write_model

DENSE = "dense"
LAYOUTS = ("gather", "stacked", "grouped")
INPUT, OUTPUT = "input", "logits"

_TAPS = 9
_SAME: Dict[str, Attribute] = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}


class Shape(NamedTuple):
    """What the network is like. The default takes about 1 G multiply-accumulates for an image, as ResNet-18 half."""

    channels: Tuple[int, ...] = (64, 128, 256, 512)
    image_size: int = 64
    rank: int = 2
    classes: int = 10

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """The shape (C, H, W) of an image."""
        return (3, self.image_size, self.image_size)


class Layer(NamedTuple):
    """One 3x3 convolution with bias, padding 1: ``depthwise`` (C, g, 3, 3) and ``pointwise`` (M, C, g).

    ``adds``: the convolution's input is added to its output before the ReLU.
    """

    name: str
    depthwise: np.ndarray
    pointwise: np.ndarray
    bias: np.ndarray
    stride: int
    adds: bool
    output_size: int

    @property
    def weight(self) -> np.ndarray:
        """The weight of the dense convolution, (M, C, 3, 3)."""
        weight: np.ndarray = np.einsum("mcg,cgij->mcij", self.pointwise, self.depthwise)
        return weight

    @property
    def shape(self) -> Tuple[int, int, int]:
        """Return (M, C, g)."""
        outputs, channels, rank = self.pointwise.shape
        return outputs, channels, rank

    def macs(self, layout: str) -> int:
        """Return the multiply-accumulates for one image."""
        outputs, channels, rank = self.shape
        weights = outputs * channels * _TAPS if layout == DENSE else channels * rank * (_TAPS + outputs)
        return weights * self.output_size**2


class Network(NamedTuple):
    """The weights. ``stem`` is (M, 3, 3, 3) and dense in every form; ``head`` is (classes, features)."""

    shape: Shape
    stem: np.ndarray
    layers: List[Layer]
    head: np.ndarray

    def macs(self, layout: str) -> int:
        """Return the multiply-accumulates of the whole network for one image."""
        stem = self.stem.size * self.shape.image_size**2
        return stem + sum(layer.macs(layout) for layer in self.layers) + self.head.size

    def parameters(self, layout: str) -> int:
        """Return the number of weights and biases."""
        counts = [layer.macs(layout) // layer.output_size**2 + layer.bias.size for layer in self.layers]
        return self.stem.size + sum(counts) + self.head.size


def draw(shape: Shape, seed: int = 0) -> Network:
    """Return the network of ``shape`` with weights drawn from ``seed``, so scaled that activations keep their size."""
    random = np.random.default_rng(seed)
    size = shape.image_size
    layers: List[Layer] = []
    inputs = shape.channels[0]
    for stage, outputs in enumerate(shape.channels, 1):
        for block in (1, 2):
            stride = 2 if stage > 1 and block == 1 else 1
            size //= stride
            layers.append(_draw_layer(random, f"stage{stage}.conv{block}", (outputs, inputs, shape.rank), stride, size))
            inputs = outputs
    stem = _normal(random, (shape.channels[0], 3, 3, 3), fan_in=3 * _TAPS)
    head = _normal(random, (shape.classes, inputs), fan_in=inputs)
    return Network(shape, stem, layers, head)


def draw_images(shape: Shape, count: int, seed: int = 1) -> np.ndarray:
    """Return images (count, 3, H, W) in float32 from 0 to 1: smooth patterns with a little noise."""
    random = np.random.default_rng(seed)
    axis = np.linspace(0.0, 2.0 * np.pi, shape.image_size)
    frequency = random.uniform(0.5, 3.0, (2, count, 3, 1))
    waves = [np.sin(frequency[0] * axis)[:, :, :, None], np.cos(frequency[1] * axis)[:, :, None, :]]
    noise = random.normal(0.0, 0.05, (count, *shape.input_shape))
    images: np.ndarray = np.clip(0.5 + 0.2 * (waves[0] + waves[1]) + noise, 0.0, 1.0)
    return images.astype(np.float32)


def logits(network: Network, images: np.ndarray) -> np.ndarray:
    """Return the logits (N, classes) in float32, computed by NumPy alone: what every engine is compared with."""
    return np.concatenate([_logits_of(network, image) for image in images]).astype(np.float32)


def to_onnx(network: Network, layout: str) -> bytes:
    """Return the ONNX file of the network in one form: ``dense`` or a layout.

    Raises:
        ValueError: there is no such form.
    """
    if layout != DENSE and layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; there are {', '.join((DENSE, *LAYOUTS))}")
    writer = _GraphWriter(layout)
    at = writer.convolution("stem", INPUT, network.stem)
    at = writer.relu("stem", at)
    for layer in network.layers:
        before, at = at, writer.layer(layer, at)
        if layer.adds:
            at = writer.add(Node(f"{layer.name}.add/Add", "Add", [at, before], f"{layer.name}.sum"))
        at = writer.relu(layer.name, at)
    at = writer.add(Node("pool/GlobalAveragePool", "GlobalAveragePool", [at], "pooled"))
    at = writer.add(Node("flatten/Flatten", "Flatten", [at], "features"))
    writer.weights["head.weight"] = network.head
    writer.add(Node("head/Gemm", "Gemm", [at, "head.weight"], OUTPUT, {"transB": 1}))
    return write_model(
        f"first-run-{layout}",
        writer.nodes,
        writer.weights,
        Value(INPUT, network.shape.input_shape),
        Value(OUTPUT, (network.shape.classes,)),
    )


class _GraphWriter:
    """Collects nodes and weights in the order in which they run."""

    def __init__(self, layout: str) -> None:
        self._layout = layout
        self.nodes: List[Node] = []
        self.weights: Dict[str, np.ndarray] = {}

    def add(self, node: Node) -> str:
        """Append ``node`` and return the name of its output."""
        self.nodes.append(node)
        return node.output

    def relu(self, path: str, at: str) -> str:
        return self.add(Node(f"{path}.relu/Relu", "Relu", [at], f"{path}.active"))

    def convolution(self, path: str, at: str, weight: np.ndarray, groups: int = 1, stride: int = 1) -> str:
        """Append a 3x3 convolution of padding 1 without bias."""
        self.weights[f"{path}.weight"] = weight
        attributes: Dict[str, Attribute] = {**_SAME, "strides": (stride, stride), "group": groups}
        return self.add(Node(f"{path}/Conv", "Conv", [at, f"{path}.weight"], f"{path}.out", attributes))

    def layer(self, layer: Layer, at: str) -> str:
        """Append ``layer`` in this graph's form, with its bias."""
        path = layer.name
        self.weights[f"{path}.bias"] = layer.bias
        if self._layout == DENSE:
            self.weights[f"{path}.weight"] = layer.weight.astype(np.float32)
            attributes: Dict[str, Attribute] = {**_SAME, "strides": (layer.stride, layer.stride)}
            inputs = [at, f"{path}.weight", f"{path}.bias"]
            return self.add(Node(f"{path}/Conv", "Conv", inputs, f"{path}.out", attributes))
        at = getattr(self, f"_{self._layout}")(layer, at)
        inputs = [at, f"{path}.pointwise.weight", f"{path}.bias"]
        return self.add(Node(f"{path}.pointwise/Conv", "Conv", inputs, f"{path}.out", {"kernel_shape": (1, 1)}))

    def _grouped(self, layer: Layer, at: str) -> str:
        """One grouped convolution with channel multiplier g."""
        outputs, channels, rank = layer.shape
        self._pointwise(layer, layer.pointwise.reshape(outputs, channels * rank))
        filters = layer.depthwise.reshape(channels * rank, 1, 3, 3)
        return self.convolution(f"{layer.name}.depthwise", at, filters, channels, layer.stride)

    def _gather(self, layer: Layer, at: str) -> str:
        """Each input channel repeated g times, then one depthwise convolution."""
        outputs, channels, rank = layer.shape
        path = f"{layer.name}.depthwise"
        self._pointwise(layer, layer.pointwise.reshape(outputs, channels * rank))
        self.weights[f"{path}.channels"] = np.repeat(np.arange(channels, dtype=np.int64), rank)
        at = self.add(Node(f"{path}/Gather", "Gather", [at, f"{path}.channels"], f"{path}.gathered", {"axis": 1}))
        filters = layer.depthwise.reshape(channels * rank, 1, 3, 3)
        return self.convolution(f"{path}.conv", at, filters, channels * rank, layer.stride)

    def _stacked(self, layer: Layer, at: str) -> str:
        """g depthwise convolutions of the same input, one after the other in the channels of their output."""
        outputs, channels, rank = layer.shape
        path = f"{layer.name}.depthwise"
        self._pointwise(layer, layer.pointwise.transpose(0, 2, 1).reshape(outputs, channels * rank))
        maps = [
            self.convolution(f"{path}.{index}", at, layer.depthwise[:, index, None], channels, layer.stride)
            for index in range(rank)
        ]
        return self.add(Node(f"{path}/Concat", "Concat", maps, f"{path}.stacked", {"axis": 1}))

    def _pointwise(self, layer: Layer, weight: np.ndarray) -> None:
        self.weights[f"{layer.name}.pointwise.weight"] = weight[:, :, None, None]


def _draw_layer(
    random: np.random.Generator, name: str, shape: Tuple[int, int, int], stride: int, output_size: int
) -> Layer:
    outputs, channels, rank = shape
    return Layer(
        name=name,
        depthwise=_normal(random, (channels, rank, 3, 3), fan_in=_TAPS, gain=1.0),
        pointwise=_normal(random, shape, fan_in=channels * rank),
        bias=_normal(random, (outputs,), fan_in=100),
        stride=stride,
        adds=stride == 1 and outputs == channels,
        output_size=output_size,
    )


def _normal(random: np.random.Generator, shape: Tuple[int, ...], fan_in: int, gain: float = 2.0) -> np.ndarray:
    """Return normal weights; the gain of 2 makes up for what a ReLU takes away (He et al., 2015)."""
    return random.normal(0.0, (gain / fan_in) ** 0.5, shape).astype(np.float32)


def _logits_of(network: Network, image: np.ndarray) -> np.ndarray:
    """Return the logits (1, classes) of one image (C, H, W)."""
    maps = np.maximum(_convolve(image, network.stem, 1), 0.0)
    for layer in network.layers:
        before = maps
        maps = _convolve(maps, layer.weight, layer.stride) + layer.bias[:, None, None]
        maps = np.maximum(maps + before if layer.adds else maps, 0.0)
    features: np.ndarray = maps.mean(axis=(1, 2))
    found: np.ndarray = features[None] @ network.head.T
    return found


def _convolve(maps: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Return the 3x3 convolution of padding 1 of ``maps`` (C, H, W) with ``weight`` (M, C, 3, 3)."""
    channels, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    shifts = np.stack(list(_shifts(padded, height, width, stride)), axis=1)
    product: np.ndarray = weight.reshape(len(weight), channels * _TAPS) @ shifts.reshape(channels * _TAPS, -1)
    return product.reshape(len(weight), *shifts.shape[2:])


def _shifts(padded: np.ndarray, height: int, width: int, stride: int) -> Iterator[np.ndarray]:
    for row in range(3):
        for column in range(3):
            yield padded[:, row : row + height : stride, column : column + width : stride]
