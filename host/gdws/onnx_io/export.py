"""torch -> ONNX that the oldest supported device reads: opset 17, IR version 8, dynamic batch.

Batch normalisation is exported as it is, not folded: runtimes fold it, and the initialisers keep the names of
the module's parameters. Each node is named ``<path of its module>/<operator>``, e.g. ``layer1.0.conv1/Conv``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from gdws._util.copies import copied
from gdws._util.outputs import relative_difference
from gdws._util.outputs import run as run_network
from gdws.compression.eligibility import require_weights
from gdws.compression.independence import require_independence
from gdws.errors import ExportError, ModelError, first_line
from gdws.onnx_io.batch import BatchDependence, free_batch
from gdws.onnx_io.int8.twin import QuantizedNetwork
from gdws.onnx_io.parity import FLOOR
from gdws.onnx_io.run import Array, CannotRun, Runner
from gdws.onnx_io.splice import splice_graph, traceable
from gdws.onnx_io.tracing import INPUT_NAME, outputs_by_name, trace

#: Largest difference between ONNX and torch, over the largest value of an output.
TOLERANCE = 1e-4
#: Where rounding alone changes the outputs of torch by more, ONNX may differ by this many times that change.
_ROUNDING_SLACK = 4
_LARGEST_TOLERANCE = 1e-2

Images = npt.NDArray[np.float32]

_TRACE_SIZES = (2, 3)
_CHECK_SIZES = (1, 2, 5)


def export(model: nn.Module, input_shape: Sequence[int]) -> bytes:
    """Return ``model`` as the bytes of an ONNX file: images (N, \\*input_shape) to outputs (N, ...).

    The module is exported in evaluation mode and float32, and is not changed. The same module gives the same bytes. One
    that was made of a file in INT8 gives that file.
    The file is checked by ONNX and run at several batch sizes, and must agree with torch up to :data:`TOLERANCE`, or
    up to what rounding does to the network, if that is more: some networks turn the last bits into the third digit.
    The outputs are named by :func:`gdws.onnx_io.tracing.outputs_by_name`.

    Raises:
        ExportError: the network cannot be expressed in ONNX, gives an output that is not finite or has no row for each
            image, is random, lets the images of a batch influence each other, treats batch sizes differently, or
            computes something else once exported.
    """
    if isinstance(model, QuantizedNetwork):
        return model.content
    reference = float32_copy(model).cpu()
    images = [_images(size, input_shape) for size in _CHECK_SIZES]
    expected = [outputs(reference, batch) for batch in images]
    _require_repetition(reference, images[-1], expected[-1])
    content = _tidy_trace(reference, input_shape, list(expected[0]))
    found = _run(content, [batch.numpy() for batch in images])
    for mine, wanted, batch in zip(found, expected, images, strict=True):
        for place, (name, tensor) in enumerate(wanted.items()):
            _compare(name, mine[place], tensor.numpy(), partial(_rounding_error, reference, batch, name, tensor))
    _require_independence(reference, input_shape)
    return content


@torch.no_grad()
def outputs(model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What ``model`` gives for ``images`` (N, C, H, W), by the names that the outputs have in ONNX.

    Raises :class:`~gdws.errors.ExportError` if the network does not run, gives nothing, or an output that is not finite
    or has no row for each image.
    """
    try:
        found = outputs_by_name(run_network(model, images))
    except ModelError as error:
        raise ExportError(error.message, hint=error.hint) from error
    if not found:
        raise ExportError("the network returns no tensor", hint="let it return tensors")
    for name, tensor in found.items():
        if tensor.ndim < 1 or len(tensor) != len(images):
            raise ExportError(
                f"{len(images)} images give {name} of shape {tuple(tensor.shape)}, which has no row for each image",
                hint="let every output have one, or choose one that has, e.g. --output 0",
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ExportError(
                f"{name} is not finite: it contains NaN or infinity",
                hint="check the weights and the range of the inputs",
            )
    return found


def _require_repetition(model: nn.Module, images: torch.Tensor, expected: Mapping[str, torch.Tensor]) -> None:
    again = outputs(model, images)
    if (change := relative_difference(list(again.values()), list(expected.values()))) > _LARGEST_TOLERANCE:
        raise ExportError(
            f"the network is random: on the same images, its outputs change by {change:.1%} when it is run again",
            hint="draw no random numbers in evaluation mode, e.g. functional.dropout(x, training=self.training)",
        )


def _require_independence(model: nn.Module, input_shape: Sequence[int]) -> None:
    try:
        require_independence(model, input_shape)
    except ModelError as error:
        raise ExportError(error.message, hint=error.hint) from error


def float32_copy(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` in float32 and evaluation mode: what a bundle's outputs are computed with.

    Raises:
        ExportError: the module holds something that cannot be copied.
    """
    try:
        require_weights(model)
        return copied(model).float().eval()
    except ModelError as error:
        raise ExportError(error.message, hint=error.hint) from error


def _tidy_trace(model: nn.Module, input_shape: Sequence[int], names: Sequence[str]) -> bytes:
    batches = [_images(size, input_shape) for size in _TRACE_SIZES]
    traced, other = (trace(traceable(model, batch), batch, names) for batch in batches)
    try:
        free_batch(traced, other, _TRACE_SIZES)
    except BatchDependence as error:
        raise ExportError(f"the network cannot run at any batch size: {error}", hint=_BATCH_HINT) from error
    traced.producer_name = "gdws"
    splice_graph(traced, model)
    try:
        onnx.checker.check_model(traced, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported network is not valid ONNX: {first_line(error)}") from error
    content: bytes = traced.SerializeToString(deterministic=True)
    return content


def _images(size: int, input_shape: Sequence[int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.rand((size, *input_shape), generator=generator)


def _run(content: bytes, batches: Sequence[Images]) -> list[list[Array]]:
    """The outputs that the ONNX file gives for each batch."""
    try:
        runner = Runner(content)
        return [runner({INPUT_NAME: batch}) for batch in batches]
    except CannotRun as error:
        raise ExportError(f"ONNX Runtime cannot run the exported network: {error}") from error


def _compare(name: str, found: Array, expected: Array, rounding_error: Callable[[], float]) -> None:
    if found.shape != expected.shape:
        raise ExportError(
            f"exported, the network returns {name} of {found.shape} instead of {expected.shape}", hint=_BATCH_HINT
        )
    scale = max(float(np.abs(expected).max(initial=0)), FLOOR)
    difference = float(np.abs(found.astype(np.float64) - expected).max(initial=0))
    if difference <= TOLERANCE * scale:
        return
    rounding = rounding_error()
    if not difference <= min(_ROUNDING_SLACK * rounding, _LARGEST_TOLERANCE * scale):  # holds for NaN as well
        raise ExportError(
            f"exported, the network's {name} differ by {difference:.3g} at {len(expected)} images; "
            f"the largest is {scale:.3g}, and rounding moves it by {rounding:.1g}",
            hint="its path may depend on the values of its input, or it may change tensors in place, which a trace "
            "cannot hold",
        )


@torch.no_grad()
def _rounding_error(model: nn.Module, images: torch.Tensor, name: str, expected: torch.Tensor) -> float:
    """How far float32 moves an output of torch itself; 0 if the network does not run in float64."""
    try:
        exact = outputs_by_name(copy.deepcopy(model).double()(images.double()))[name]
    except (RuntimeError, TypeError, ValueError):
        return 0.0
    return float((exact.double() - expected).abs().max())


_BATCH_HINT = "write shapes with -1 or x.shape[0] for the batch, not with a number"
