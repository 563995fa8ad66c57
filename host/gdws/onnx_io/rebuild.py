"""ONNX -> a torch module of the same function, on which the surgery works as on any other.

The module is rebuilt by onnx2torch, node by node. Before it is given back it is run beside the file itself.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.version_converter
import torch
from onnx import TensorProto
from torch import nn

from gdws.errors import ModelError, first_line
from gdws.onnx_io.batch import unfix_batch
from gdws.onnx_io.files import read_whole
from gdws.onnx_io.graph import drop_needless_allowzero, gather_constants
from gdws.onnx_io.layout import TO_FIRST, TO_LAST, channels_last, looks_channels_last, put_channels_first
from gdws.onnx_io.padding import pad_before_averages, pad_explicitly
from gdws.onnx_io.reading import fold_constants, keep_output, shapes_for, tidy, widen
from gdws.onnx_io.run import CannotRun, run
from gdws_contract.base import quotable_name

#: Largest difference between the rebuilt module and the file, over the largest output.
TOLERANCE = 1e-4
#: The newest opset whose operators onnx2torch knows; files of another one are converted to it where it helps.
_OPSET = 17
_CHECK_SIZES = (1, 3)

Shape = tuple[int, int, int]
Images = npt.NDArray[np.float32]

#: Largest difference from a file in half precision, whose numbers have 8 to 11 bits.
_HALF_TOLERANCE = 0.05
_NUMBERS: Mapping[str, Any] = {"float16": np.float16, "double": np.float64}


class _DoesNotRun(ModelError):
    """ONNX Runtime does not run the file."""


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network rebuilt from ONNX, in evaluation mode on the CPU.

    ``input_shape`` is (C, H, W). ``sha256`` is that of the file. ``difference`` is the largest between the outputs of
    module and file on random images, over the largest output. ``notes`` say what is another than in the file.
    """

    module: nn.Module
    input_shape: Shape
    sha256: str
    difference: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Interface:
    """How a file takes images: its batch size if that is fixed, their shape, order of axes and kind of number."""

    batch: int | None
    shape: Shape
    channels_last: bool
    number: str

    def feed(self, images: Images) -> npt.NDArray[Any]:
        """Images (N, C, H, W) as the file takes them."""
        ordered = images.transpose(TO_LAST) if self.channels_last else images
        return np.ascontiguousarray(ordered, dtype=_NUMBERS.get(self.number, np.float32))


def load_onnx(path: str | Path, input_shape: Shape | None = None, *, output: str | int | None = None) -> OnnxNetwork:
    """Return the network in an ONNX file as a torch module: images (N, C, H, W) in float32 to one output (N, ...).

    ``input_shape`` (C, H, W) is needed where the file leaves an axis open. A batch size that the file fixes is freed.
    A file that takes (N, H, W, C), or computes in half precision, is read as one of (N, C, H, W) in float32; a note
    tells so. ``output`` is the name or place of the output that counts, where there are several.
    The module agrees with ONNX Runtime up to :data:`TOLERANCE`, whatever the batch size; with a file in half precision
    as far as that is exact.

    Raises:
        ModelError: it is no ONNX file, has other inputs or outputs, an operator that cannot be rebuilt (the error
            names node and operator), weights outside of its folder, or the module computes something else.
        OSError: the file cannot be read.
    """
    path = Path(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    model = _read(path)
    tidy(model)
    _choose_output(model, output, path)
    _require_one_input(model, path)
    pad_explicitly(model, dilated_alone=True)  # or ONNX Runtime could not run the file, to compare with
    number = _number(model)
    content, half = _serialized(model, path), widen(model)
    exact = _serialized(model, path) if half else content
    gather_constants(model)
    fold_constants(model)
    interface = _interface(model, path, input_shape, number)
    if interface.channels_last:
        put_channels_first(model)
    shapes = shapes_for(model, interface.batch or 1, interface.shape)
    pad_explicitly(model, shapes)
    pad_before_averages(model, shapes)
    module = _rebuild(model, path)
    difference = _check_parity(module, exact, replace(interface, number="float"), path)
    notes = []
    if half:
        change = _check_rounding(module, content, interface, path)
        notes.append(f"it computes in {number if number != 'float' else 'half precision'}; read as float32" + change)
    if interface.channels_last:
        notes.append("it takes images as (N, H, W, C); read as a network of (N, C, H, W)")
    return OnnxNetwork(module, interface.shape, sha256, difference, tuple(notes))


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = read_whole(path)
        onnx.checker.check_model(model)
    except (OSError, ModelError):
        raise
    except Exception as error:  # the parser of protocol buffers and the checker share no base
        raise ModelError(
            f"{path} is no valid ONNX file: {first_line(error)}", hint="export the network again"
        ) from error
    return model


def _choose_output(model: onnx.ModelProto, output: str | int | None, path: Path) -> None:
    names = [value.name for value in model.graph.output]
    if output is None and len(names) == 1:
        return
    place = names.index(str(output)) if str(output) in names else output  # a name may be a number, too
    if not isinstance(place, int) or not 0 <= place < len(names):
        problem = f"has {len(names)} outputs" if output is None else f"has no output {output!r}"
        raise ModelError(
            f"{path} {problem}: {', '.join(names)}", hint=f"say which one has the logits, e.g. --output {names[0]}"
        )
    keep_output(model, place)


def _require_one_input(model: onnx.ModelProto, path: Path) -> None:
    names = [value.name for value in model.graph.input]
    if len(names) != 1:
        raise ModelError(
            f"{path} has {len(names)} inputs: {', '.join(names)}",
            hint="a classifier has one, the images; export the network without the others",
        )


def _number(model: onnx.ModelProto) -> str:
    """The kind of number that the input has, as ONNX calls it, e.g. ``float16``."""
    return str(TensorProto.DataType.Name(model.graph.input[0].type.tensor_type.elem_type).lower())


def _interface(model: onnx.ModelProto, path: Path, wanted: Shape | None, number: str) -> _Interface:
    """How the file takes images, with ``wanted`` (C, H, W) where it leaves that open."""
    value = model.graph.input[0]
    axes = [axis.dim_value or None for axis in value.type.tensor_type.shape.dim]
    if value.type.tensor_type.elem_type != TensorProto.FLOAT or len(axes) != 4:
        raise ModelError(
            f"the input {value.name!r} of {path} is {number} with {len(axes)} axes",
            hint="it must be images (N, C, H, W) in float; export the network so",
        )
    last = _has_channels_last(model, path, axes, wanted)
    axes = [axes[axis] for axis in TO_FIRST] if last else axes
    for axis, given in zip(axes[1:], wanted or (), strict=False):
        if axis is not None and axis != given:
            raise ModelError(f"{path} takes images of {_shown(axes[1:])}, not {_shown(wanted or ())}")
    shape = wanted or tuple(axes[1:])
    if None in shape:
        raise ModelError(
            f"{path} leaves the size of its images open", hint="say it, e.g. --input-shape 3,224,224 for C,H,W"
        )
    channels, height, width = (int(axis) for axis in shape if axis is not None)
    return _Interface(axes[0], (channels, height, width), last, number)


def _has_channels_last(model: onnx.ModelProto, path: Path, axes: Sequence[int | None], wanted: Shape | None) -> bool:
    """Whether images are (N, H, W, C): the graph tells, or the shape that is wanted, or nothing does."""
    told = channels_last(model)
    if told is not None:
        return told
    if wanted is not None:
        fits = [all(axis in (None, size) for axis, size in zip(order, wanted, strict=True)) for order in _orders(axes)]
        return fits == [False, True]
    if looks_channels_last(axes[1:]):
        first, last = (",".join(map(str, order)) for order in _orders(axes))
        raise ModelError(
            f"{path} takes images of {_shown(axes[1:])}, and does not tell whether the channels are the first or the "
            "last of these axes",
            hint=f"say it as C,H,W: --input-shape {last} if they are last, --input-shape {first} if they are first",
        )
    return False


def _orders(axes: Sequence[int | None]) -> tuple[list[int | None], list[int | None]]:
    """(C, H, W) if the axes (N, ...) have the channels first, and if they have them last."""
    return list(axes[1:]), [axes[axis] for axis in TO_FIRST[1:]]


def _shown(axes: Sequence[int | None]) -> str:
    return "x".join("?" if axis is None else str(axis) for axis in axes)


def _serialized(model: onnx.ModelProto, path: Path) -> bytes:
    try:
        content: bytes = model.SerializeToString()
    except Exception as error:  # protobuf has had several kinds of error for it
        raise ModelError(f"{path} is too large: {first_line(error)}", hint="ONNX files end at 2 GiB") from error
    return content


def _rebuild(model: onnx.ModelProto, path: Path) -> nn.Module:
    import onnx2torch  # takes a second: all its converters are imported

    model = _readable(model)
    problem = next(_problems(model), None)
    if problem is not None:
        raise ModelError(f"{path}: {problem}", hint=_HINT)
    for node in model.graph.node:
        node.name = quotable_name(node.name)  # it becomes a part of code that torch.fx writes and executes
    gather_constants(model)
    drop_needless_allowzero(model)
    unfix_batch(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on constants that share memory
            module: nn.Module = onnx2torch.convert(model)
    except Exception as error:  # whatever its converters raise
        culprit = _culprit(model)
        where = "" if culprit is None else f"{culprit}: "
        raise ModelError(f"{path} cannot be rebuilt: {where}{first_line(error)}", hint=_HINT) from error
    return module.eval()


def _readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, or the same at another opset if that has operators which can be rebuilt and this has not."""
    if next(_problems(model), None) is None:
        return model
    try:
        other = onnx.version_converter.convert_version(model, _OPSET)
    except Exception:  # there is no way to that opset: what is wrong is told of the file as it is
        return model
    return other if next(_problems(other), None) is None else model


def _problems(model: onnx.ModelProto) -> Iterator[str]:
    """Each node that onnx2torch cannot convert, in words."""
    opsets = {each.domain: each.version for each in model.opset_import}
    constants = {tensor.name for tensor in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] not in constants:
            weight = f"its weight {node.input[1]!r} depends on the input"
            yield f"{_called(node, index)} cannot be rebuilt: {weight}"
        if _converter(node.op_type, node.domain, opsets) is None:
            version = f"opset {opsets.get(node.domain, '?')}" + (f" of {node.domain!r}" if node.domain else "")
            yield f"{_called(node, index)} cannot be rebuilt: {version} of this operator is not known"


def _converter(operator: str, domain: str, opsets: Mapping[str, int]) -> Callable[..., Any] | None:
    from onnx2torch.node_converters import get_converter

    try:
        found: Callable[..., Any] = get_converter(operator, opsets[domain], domain)
    except (NotImplementedError, KeyError):
        return None
    return found


def _culprit(model: onnx.ModelProto) -> str | None:
    """The first node whose converter fails; None if all succeed."""
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.utils.safe_shape_inference import safe_shape_inference

    inferred = safe_shape_inference(model)
    opsets = {each.domain: each.version for each in inferred.opset_import}
    graph = OnnxGraph(inferred.graph)
    nodes = list(graph.nodes.values())
    return next((_called(node.proto, i) for i, node in enumerate(nodes) if not _converts(node, graph, opsets)), None)


def _converts(node: Any, graph: Any, opsets: Mapping[str, int]) -> bool:
    convert = _converter(node.operation_type, node.domain, opsets)
    try:
        return convert is not None and convert(node, graph) is not None
    except Exception:  # as above: whatever it raises
        return False


def _called(node: Any, index: int) -> str:
    name = repr(node.name) if node.name else f"number {index + 1}, without a name,"
    return f"the node {name} ({node.op_type})"


def _check_parity(
    module: nn.Module, content: bytes, interface: _Interface, path: Path, tolerance: float = TOLERANCE
) -> float:
    """Compare module and file at several batch sizes; return the largest relative difference."""
    sizes = [size * (interface.batch or 1) for size in _CHECK_SIZES]
    batches = [np.random.default_rng(size).random((size, *interface.shape), dtype=np.float32) for size in sizes]
    expected = _of_file(content, batches, interface, path)
    worst = 0.0
    for images, wanted in zip(batches, expected, strict=True):
        found = _of_module(module, images, path)
        if found.shape != wanted.shape:
            raise ModelError(
                f"rebuilt, {path} gives {found.shape} in place of {wanted.shape}",
                hint="export it with a dynamic batch size (dynamic_axes={'input': {0: 'batch'}})",
            )
        if not np.isfinite(wanted).all():
            raise ModelError(f"{path} gives NaN or infinity on random images", hint="check the weights of the network")
        worst = max(worst, _difference(found, wanted))
    if not worst <= tolerance:
        raise ModelError(f"rebuilt, {path} differs from ONNX Runtime by {worst:.3g} of its largest output", hint=_HINT)
    return worst


def _check_rounding(module: nn.Module, content: bytes, interface: _Interface, path: Path) -> str:
    """Compare with the file as it is, in half precision; say how far it differs, if it runs here."""
    try:
        return f", which differs by {_check_parity(module, content, interface, path, _HALF_TOLERANCE):.1g}"
    except _DoesNotRun:  # ONNX Runtime lacks many operators in half precision
        return ""


def _of_file(content: bytes, batches: Sequence[Images], interface: _Interface, path: Path) -> list[npt.NDArray[Any]]:
    """What the file gives, in pieces of the batch size that it fixes."""
    step = [interface.batch or len(images) for images in batches]
    pieces = [
        [images[first : first + size] for first in range(0, len(images), size)]
        for images, size in zip(batches, step, strict=True)
    ]
    try:
        found = iter(run(content, [interface.feed(piece) for batch in pieces for piece in batch]))
    except CannotRun as error:
        raise _DoesNotRun(f"{path} does not run on random images: {error}", hint="check --input-shape") from error
    return [np.concatenate([next(found) for _ in batch]).astype(np.float32) for batch in pieces]


@torch.no_grad()
def _of_module(module: nn.Module, images: Images, path: Path) -> npt.NDArray[Any]:
    try:
        output = module(torch.from_numpy(images))
        found: npt.NDArray[Any] = output.numpy()
    except Exception as error:  # whatever the rebuilt operators raise
        raise ModelError(
            f"rebuilt, {path} does not run on {len(images)} images: {first_line(error)}",
            hint="export it with a dynamic batch size (dynamic_axes={'input': {0: 'batch'}})",
        ) from error
    return found


def _difference(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """The largest difference over the largest |wanted|; infinity for NaN."""
    scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-30)
    worst = float(np.abs(found.astype(np.float64) - wanted).max(initial=0.0)) / scale
    return worst if np.isfinite(worst) else float("inf")


_HINT = "export the network again with plain operators, at opset 17 or older, or give the torch module by --module"
