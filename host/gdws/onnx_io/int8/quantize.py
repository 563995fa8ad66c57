"""From a file in float32 and images to a file in INT8."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from gdws.errors import DataError, GdwsError
from gdws.onnx_io.int8.folding import balance_channels, balanced_tensors, fold_batch_norms
from gdws.onnx_io.int8.insertion import insert
from gdws.onnx_io.int8.points import SCHEMES, Points, Scheme, find_points
from gdws.onnx_io.int8.ranges import RANGE_METHODS, Range, RangeMethod, Values, choose, observe
from gdws.onnx_io.int8.view import View, name_of
from gdws.onnx_io.run import Runner

_BATCH = 64

Images = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Int8Settings:
    """How a network is quantised.

    ``scheme`` says for whom, see :mod:`gdws.onnx_io.int8.points`. ``ranges`` is the method that chooses them; None
    tries each and takes the one whose outputs are nearest to those in float32 on the second half of the images, with
    ranges from the first. Layers stay in floating
    point whose name, or that of a module around them, matches one of ``skip``.
    """

    scheme: Scheme = "symmetric"
    ranges: RangeMethod | None = None
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, legal in (("scheme", SCHEMES), ("ranges", (None, *RANGE_METHODS))):
            if getattr(self, name) not in legal:
                words = ", ".join(str(each) for each in legal if each is not None)
                raise GdwsError(f"{name} of INT8 is {getattr(self, name)!r}", hint=f"it must be one of {words}")


@dataclass(frozen=True, eq=False)
class Quantized:
    """A file in INT8, and how it was made.

    ``layers`` of the network are in INT8, ``kept`` in floating point; ``balanced`` is how many tensors between layers
    were evened out by channel. ``error`` is the root mean square of the difference that INT8 makes to the outputs on
    images that the ranges were not found from, over that of the outputs; None where one image was all there was.
    """

    content: bytes
    settings: Int8Settings
    ranges: RangeMethod
    images: int
    layers: tuple[str, ...]
    kept: tuple[str, ...]
    balanced: int
    error: float | None


def quantize(content: bytes, images: Images, settings: Int8Settings | None = None) -> Quantized:
    """Return an ONNX file of float32 with its layers in INT8.

    ``content`` takes images (N, C, H, W) in float32 and has a free batch size; its opset is 13 or newer. ``images``
    (N, C, H, W) are such as it will meet: attacked ones among them, if it is to be robust, for they reach further.

    Raises :class:`~gdws.errors.GdwsError` if no layer can be quantised, none is called as one to skip, or the file is
    in INT8 already, :class:`~gdws.errors.DataError` if there are no images or values are not finite, and
    :class:`~gdws.onnx_io.run.CannotRun` if the file does not run.
    """
    settings = settings or Int8Settings()
    if len(images) == 0:
        raise DataError("INT8 needs images to find ranges from", hint="give some of the training split")
    model = onnx.load_from_string(content)
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear", "QLinearConv") for node in model.graph.node):
        raise GdwsError("the network is already quantised", hint="give the network in floating point")
    fold_batch_norms(model)
    fitted, held_out = _halves(images)
    pairs = balance_channels(model, _channels(model, fitted))
    floating: bytes = model.SerializeToString(deterministic=True)
    points = find_points(model, settings.scheme, settings.skip)
    if not points.layers:
        raise GdwsError(
            "the network has no layer that can be quantised",
            hint="Conv, Gemm and MatMul nodes with constant weights can be, unless they are skipped",
        )
    found = observe(floating, fitted, set(points.tensors.values()))
    methods = RANGE_METHODS if settings.ranges is None else (settings.ranges,)
    written = {method: _written(floating, points, _choose(found, method), settings.scheme) for method in methods}
    errors = {method: _error(floating, each, held_out) for method, each in written.items()} if held_out else {}
    best = min(methods, key=lambda method: errors.get(method, 0.0))
    view = View(model)
    layers = tuple(name_of(view.producer[output]) for output in points.layers)
    kept = tuple(name_of(node) for node in view.nodes if view.is_layer(node) and node.output[0] not in points.layers)
    return Quantized(written[best], settings, best, len(images), layers, kept, pairs, errors.get(best))


def _halves(images: Images) -> tuple[list[Images], list[Images]]:
    """Batches of every other image, and of those between; the latter has none where there is one image."""
    first, second = images[::2], images[1::2]
    return tuple([half[at : at + _BATCH] for at in range(0, len(half), _BATCH)] for half in (first, second))  # type: ignore[return-value]


def _channels(model: onnx.ModelProto, images: Sequence[Images]) -> dict[str, npt.NDArray[np.float32]]:
    """The largest absolute value in each channel of the tensors that may be balanced."""
    found = observe(model.SerializeToString(), images, balanced_tensors(model))
    return {name: each.channels for name, each in found.items() if each.channels is not None}


def _choose(found: Mapping[str, Values], method: RangeMethod) -> dict[str, Range]:
    return {name: choose(values, method) for name, values in found.items()}


def _written(floating: bytes, points: Points, ranges: Mapping[str, Range], scheme: Scheme) -> bytes:
    model = onnx.load_from_string(floating)
    insert(model, points, ranges, scheme)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _error(floating: bytes, quantized: bytes, images: Sequence[Images]) -> float:
    """The root mean square of the outputs' difference over that of the outputs."""
    runners = [Runner(each) for each in (floating, quantized)]
    difference = size = 0.0
    for batch in images:
        for exact, rounded in zip(*(run({run.inputs[0]: batch}) for run in runners), strict=True):
            difference += float(np.square(exact - rounded, dtype=np.float64).sum())
            size += float(np.square(exact, dtype=np.float64).sum())
    return math.sqrt(difference / size) if size else math.inf
