"""What rounding does to the means of a network's channels, taken back by its biases.

Rounding of weights moves a channel's output by about the same on every image (Nagel et al., 2019, arXiv:1906.04721,
section 4.2). The mean of that is a matter of the bias. Layers are corrected one after the other, each on what the
corrected ones before it give, for errors add up on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from gdws.onnx_io.graph import drop_unused_initializers
from gdws.onnx_io.int8.ranges import recorder
from gdws.onnx_io.int8.view import View, attribute, set_constant
from gdws.onnx_io.pieces import Piece, split_after
from gdws.onnx_io.reading import fold_constants
from gdws.onnx_io.run import Runner

Floats = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

#: Of the outputs of the layers that are corrected, (N, C, ...).
_CHANNELS = 1


def bias_errors(
    floating: bytes, quantized: bytes, layers: Sequence[str], images: Sequence[Images]
) -> dict[str, Floats]:
    """What the bias of each layer lacks, (C,), by the layer's output: the mean in ``floating`` less ``quantized``'s.

    Both files have the outputs in ``layers``, those of :func:`correctable`; ``images`` are batches (N, ...), whose
    activations are all in memory at a time.
    Raises :class:`~gdws.onnx_io.run.CannotRun`, and :class:`~gdws.onnx_io.pieces.CannotSplit`.
    """
    record = recorder(floating, layers)
    exact = [{name: _mean(array) for name, array in record(batch).items()} for batch in images]
    sizes = [len(batch) for batch in images]
    model = onnx.load_from_string(quantized)
    fold_constants(model)  # of integers and scales, the weights, which go with their layers
    drop_unused_initializers(model.graph)
    known: list[dict[str, npt.NDArray[Any]]] = [{model.graph.input[0].name: batch} for batch in images]
    found: dict[str, Floats] = {}
    for piece, used_later in _with_later_uses(split_after(model, layers)):
        run = Runner(piece.content())
        for tensors in known:
            given = {name: tensors[name] for name in piece.inputs}
            tensors.update(zip(piece.outputs, run(given), strict=True))
        for name in (name for name in layers if name in piece.outputs):
            lacking = [wanted[name] - _mean(tensors[name]) for wanted, tensors in zip(exact, known, strict=True)]
            found[name] = np.average(lacking, axis=0, weights=sizes)
            for tensors in known:
                tensors[name] = tensors[name] + _along_channels(found[name], tensors[name].ndim)
        for tensors in known:
            for name in tensors.keys() - used_later:
                del tensors[name]
    return found


def correctable(model: onnx.ModelProto, layers: Sequence[str]) -> tuple[str, ...]:
    """Those of ``layers``, given by their outputs, that add or could add a bias of one number for each channel."""
    view = View(model)
    return tuple(output for output in layers if _takes_bias(view, view.producer[output]))


def add_to_biases(model: onnx.ModelProto, errors: Mapping[str, Floats]) -> None:
    """Add ``errors`` (C,), by the outputs of layers, to the layers' biases, in place."""
    view = View(model)
    for output, error in errors.items():
        layer = view.producer[output]
        bias = view.constants[layer.input[2]] if len(layer.input) > 2 and layer.input[2] else np.float32(0)
        name = f"{output}_bias_corrected"  # a name of its own: layers may share a bias, and not what it lacks
        set_constant(model, name, (bias + error).astype(np.float32))
        del layer.input[2:]
        layer.input.append(name)


def _takes_bias(view: View, layer: onnx.NodeProto) -> bool:
    if layer.op_type == "Conv":
        return True
    has_bias = len(layer.input) > 2 and layer.input[2]
    is_plain = not has_bias or view.constants[layer.input[2]].ndim == 1
    return layer.op_type == "Gemm" and is_plain and attribute(layer, "beta", 1.0) == 1


def _mean(array: npt.NDArray[Any]) -> Floats:
    """The mean of each channel of a tensor (N, C, ...), (C,)."""
    others = tuple(axis for axis in range(array.ndim) if axis != _CHANNELS)
    mean: Floats = array.mean(axis=others, dtype=np.float64)
    return mean


def _along_channels(values: Floats, axes: int) -> Images:
    return values.astype(np.float32).reshape(-1, *[1] * (axes - 1 - _CHANNELS))


def _with_later_uses(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, set[str]]]:
    """Each piece with the tensors that pieces after it take."""
    for place, piece in enumerate(pieces):
        yield piece, {name for later in pieces[place + 1 :] for name in later.inputs}
