"""An ONNX file as a network to convert: rebuilt as a torch module, or kept as the graph it is where that fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from torch import nn

from gdws._util.file_kinds import ONNX, kind_of
from gdws.datasets.preprocessing import Preprocessing
from gdws.errors import ModelError, first_line
from gdws.onnx_io.batch import declare_any_batch, unfix_batch
from gdws.onnx_io.batch_first import BatchFirst
from gdws.onnx_io.files import read_whole
from gdws.onnx_io.graph import gather_constants
from gdws.onnx_io.graph_network import CannotSplit, GraphNetwork
from gdws.onnx_io.heads import as_linear_layers
from gdws.onnx_io.int8.view import is_of_integers
from gdws.onnx_io.interface import Interface, Shape, interface_of, number_of
from gdws.onnx_io.layout import put_channels_first
from gdws.onnx_io.padding import pad_before_averages, pad_explicitly
from gdws.onnx_io.parity import CannotRebuild, check_parity, check_rounding
from gdws.onnx_io.preprocessing import put_first
from gdws.onnx_io.reading import fold_constants, keep_output, shapes_for, tidy, widen
from gdws.onnx_io.rebuild import rebuild

#: The limits of a network that is kept as a graph, for whatever reason.
_AS_GRAPH = (
    "it stays an ONNX graph, in which its convolutions are converted: there are no gradients, so errors are weighed by "
    "the energy of each layer's output, and only attacks without gradients can be run"
)


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network from an ONNX file, in evaluation mode on the CPU.

    ``input_shape`` is that of one sample, e.g. (C, H, W). ``sha256`` is that of the file. ``difference`` is the
    largest between the outputs of module and file on random inputs, over the largest output. ``notes`` say what is
    another than in the file. ``kept_as_graph`` says why the module is a
    :class:`~gdws.onnx_io.graph_network.GraphNetwork`; None if it was rebuilt.
    """

    module: nn.Module
    input_shape: Shape
    sha256: str
    difference: float
    notes: tuple[str, ...] = ()
    kept_as_graph: str | None = None


@dataclass(frozen=True, eq=False)
class _File:
    """An ONNX file that was read: as it is (``content``), and in float32 (``exact``)."""

    path: Path
    content: bytes
    exact: bytes
    interface: Interface

    @property
    def is_half(self) -> bool:
        return self.content != self.exact

    def model(self) -> onnx.ModelProto:
        """The model in float32, to be changed."""
        return onnx.load_model_from_string(self.exact)


def load_onnx(
    path: str | Path,
    input_shape: Sequence[int] | None = None,
    *,
    output: str | int | None = None,
    preprocessing: Preprocessing | None = None,
) -> OnnxNetwork:
    """Return the network in an ONNX file as a torch module: inputs (N, ...) in float32 to outputs (N, ...).

    ``input_shape``, (C, H, W) of images or (C, L) of signals, is needed where the file leaves an axis open. A batch
    size that the file fixes is freed. A file that takes (N, H, W, C), or computes in half precision, is read as one of
    (N, C, H, W) in float32; a note tells so. ``output`` is the name or place of the output that counts, where there
    are several; without it the module gives a tuple of all. ``preprocessing`` becomes the beginning of the network.

    The module is rebuilt by onnx2torch, node by node. A file with operators that cannot be rebuilt becomes a
    :class:`~gdws.onnx_io.graph_network.GraphNetwork`, whose convolutions can be converted all the same. Either way it
    agrees with ONNX Runtime up to :data:`~gdws.onnx_io.parity.TOLERANCE`, whatever the batch size; with a file in half
    precision as far as that is exact.

    Raises:
        ModelError: it is no ONNX file, has other inputs or outputs, weights outside of its folder, cannot be rebuilt
            (the error names node and operator) nor split at its convolutions, or the module computes something else.
        OSError: the file cannot be read.
    """
    path = Path(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    file = _opened(path, None if input_shape is None else tuple(input_shape), output, preprocessing or Preprocessing())
    reason = None
    try:
        module = _rebuilt(file)
        difference = _difference(module, file)
    except CannotRebuild as error:
        reason = error.message.replace(str(path), path.name)  # it goes into bundles: no folder of the user's
        try:
            module, difference = _as_graph(file)
        except (CannotSplit, CannotRebuild) as other:
            raise error from other
    return OnnxNetwork(module, file.interface.shape, sha256, difference, _notes(module, file, reason), reason)


def _opened(path: Path, input_shape: Shape | None, output: str | int | None, preprocessing: Preprocessing) -> _File:
    model = _read(path)
    tidy(model)
    _choose_output(model, output, path)
    _require_one_input(model, path)
    pad_explicitly(model, dilated_alone=True)  # or ONNX Runtime could not run the file, to compare with
    number = number_of(model)
    interface = _interface(model, path, input_shape, number)
    put_first(model, preprocessing, interface.shape[0], channels_last=interface.channels_last)
    content = _serialized(model, path)
    exact = _serialized(model, path) if widen(model) else content
    return _File(path, content, exact, interface)


def _interface(model: onnx.ModelProto, path: Path, input_shape: Shape | None, number: str) -> Interface:
    """How the file takes its input, told from a copy in which all that can be computed was."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    widen(plain)
    gather_constants(plain)
    fold_constants(plain)
    return interface_of(plain, path, input_shape, number)


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = read_whole(path)
        onnx.checker.check_model(model)
    except (OSError, ModelError):
        raise
    except Exception as error:  # the parser of protocol buffers and the checker share no base
        kind = kind_of(path)
        if kind is not None and kind is not ONNX:
            raise ModelError(f"{path} is {kind.name}, no ONNX file", hint=kind.advice) from error
        raise ModelError(
            f"{path} is not a valid ONNX file: {first_line(error)}", hint="export the network again"
        ) from error
    return model


def _choose_output(model: onnx.ModelProto, output: str | int | None, path: Path) -> None:
    if output is None:
        return
    names = [value.name for value in model.graph.output]
    place = names.index(str(output)) if str(output) in names else output  # a name may be a number, too
    if not isinstance(place, int) or not 0 <= place < len(names):
        raise ModelError(
            f"{path} has no output {output!r}: {', '.join(names)}", hint=f"name one of them, e.g. --output {names[0]}"
        )
    keep_output(model, place)


def _require_one_input(model: onnx.ModelProto, path: Path) -> None:
    names = [value.name for value in model.graph.input]
    if len(names) != 1:
        raise ModelError(
            f"{path} has {len(names)} inputs: {', '.join(names)}",
            hint="a network that can be measured has one, e.g. images; export it without the others",
        )


def _rebuilt(file: _File) -> nn.Module:
    """The module that onnx2torch makes. Raises :class:`~gdws.onnx_io.parity.CannotRebuild`."""
    model = file.model()
    gather_constants(model)
    fold_constants(model)
    _require_floating_point(model, file.path)
    if file.interface.channels_last:
        put_channels_first(model)
    shapes = shapes_for(model, file.interface.batch or 1, file.interface.shape)
    pad_explicitly(model, shapes)
    pad_before_averages(model, shapes)
    as_linear_layers(model, shapes)
    return _batch_first(rebuild(model, file.path), file)


def _require_floating_point(model: onnx.ModelProto, path: Path) -> None:
    """Raise :class:`~gdws.onnx_io.parity.CannotRebuild` if not only weights are quantised, which are folded by now."""
    node = next((node for node in model.graph.node if is_of_integers(node)), None)
    if node is not None:
        raise CannotRebuild(
            f"{path}: it is quantised already (node {node.name!r}, {node.op_type}), and what is to be converted or "
            "quantised must be in floating point",
            hint="give the network before quantisation",
        )


def _as_graph(file: _File) -> tuple[nn.Module, float]:
    """The graph as it is, its convolutions as layers, and how far it is from the file.

    A batch size that the file fixes may be no more than a declaration: only if it is more, shapes inside are changed.
    Raises :class:`~gdws.onnx_io.graph_network.CannotSplit` and :class:`~gdws.onnx_io.parity.CannotRebuild`.
    """
    if file.interface.batch is None:
        return _compared(file, lambda model: None)
    try:
        return _compared(file, declare_any_batch)
    except CannotRebuild:
        return _compared(file, _with_any_batch)


def _compared(file: _File, free: Callable[[onnx.ModelProto], None]) -> tuple[nn.Module, float]:
    model = file.model()
    if file.interface.channels_last:
        put_channels_first(model)
    free(model)
    module = _batch_first(GraphNetwork.of(model, file.interface.batch or 1, file.interface.shape), file)
    return module, _difference(module, file)


def _batch_first(module: nn.Module, file: _File) -> nn.Module:
    axes = file.interface.batch_axes
    return BatchFirst(module, axes) if any(axes) else module


def _with_any_batch(model: onnx.ModelProto) -> None:
    gather_constants(model)
    unfix_batch(model)


def _difference(module: nn.Module, file: _File) -> float:
    """How far ``module`` is from the file in float32, at the most."""
    return check_parity(module, file.exact, replace(file.interface, number="float"), file.path)


def _notes(module: nn.Module, file: _File, reason: str | None) -> tuple[str, ...]:
    interface, notes = file.interface, []
    if file.is_half:
        number = interface.number if interface.number != "float" else "half precision"
        change = check_rounding(module, file.content, interface, file.path)
        notes.append(f"it computes in {number}; read as float32{change}")
    if interface.channels_last:
        notes.append("it takes images as (N, H, W, C); read as a network of (N, C, H, W)")
    if any(interface.batch_axes):
        notes.append("the batch is not the first axis of its outputs; read with the batch first")
    if reason is not None:
        notes.append(f"{reason.rstrip('.')}. {_AS_GRAPH}")
    return tuple(notes)


def _serialized(model: onnx.ModelProto, path: Path) -> bytes:
    try:
        content: bytes = model.SerializeToString()
    except Exception as error:  # protobuf has had several kinds of error for it
        raise ModelError(f"{path} is too large: {first_line(error)}", hint="ONNX files are limited to 2 GiB") from error
    return content
