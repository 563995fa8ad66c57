"""ONNX -> a network definition of TensorRT, checked against the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.interface import Tensor, check_interface
from gdws_agent.errors import BuildFailed

from .log import Log
from .shapes import axes

if TYPE_CHECKING:
    from tensorrt import Builder, INetworkDefinition, ITensor, OnnxParser, ParserError

_NUMPY_TYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT8": "int8", "INT32": "int32"}


class ModelTypes(NamedTuple):
    """Types that the model itself asks for: it has QuantizeLinear nodes; it has float16 tensors."""

    quantized: bool
    half: bool


class Network(NamedTuple):
    """A parsed model. ``has_open_batch``: its batch size is left to optimisation profiles."""

    definition: INetworkDefinition
    types: ModelTypes
    has_open_batch: bool


def read_network(trt: Any, builder: Builder, log: Log, model: bytes, spec: EngineSpec) -> Network:
    """Return ``model``, the bytes of an ONNX file, as a network of ``builder``.

    Raises:
        BuildFailed: it cannot be parsed, which TensorRT's own messages tell of, or it is not what ``spec`` says.
    """
    definition: INetworkDefinition = builder.create_network(_network_flags(trt))
    _parse(trt, definition, log, model)
    inputs = [definition.get_input(index) for index in range(definition.num_inputs)]
    outputs = [definition.get_output(index).name for index in range(definition.num_outputs)]
    check_interface([_tensor(each) for each in inputs], outputs, spec)
    return Network(definition, _types(trt, definition), any(axis < 0 for axis in axes(inputs[0].shape)))


def _types(trt: Any, network: INetworkDefinition) -> ModelTypes:
    """Return which types the layers of ``network`` ask for."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    quantizing = (trt.LayerType.QUANTIZE, trt.LayerType.DEQUANTIZE)
    return ModelTypes(
        quantized=any(layer.type in quantizing for layer in layers),
        half=any(layer.num_outputs and layer.get_output(0).dtype == trt.DataType.HALF for layer in layers),
    )


def _network_flags(trt: Any) -> int:
    """Explicit batch: required by TensorRT 8, without effect in 10, and gone after it."""
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return 0 if explicit is None else 1 << int(explicit)


def _parse(trt: Any, network: INetworkDefinition, log: Log, model: bytes) -> None:
    parser: OnnxParser = trt.OnnxParser(network, log.logger)
    if parser.parse(model):
        return
    found = [_in_words(parser.get_error(index)) for index in range(parser.num_errors)]
    logged = log.messages.take()
    raise BuildFailed(
        f"TensorRT cannot read the model: {'; '.join(found) or 'no reason given'}"
        + (f" (its log: {logged})" if logged else ""),
        hint="bundles carry ONNX opset 17 and IR version 8 at most; each operator must be one that TensorRT has",
    )


def _in_words(error: ParserError) -> str:
    """Return one error of the parser with the node that it is about; older releases tell the number alone."""
    text = " ".join(str(error.desc()).split())
    name = error.node_name() if hasattr(error, "node_name") else ""
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    if name or operator:
        return f"node {name!r} ({operator}): {text}"
    return f"node {error.node()}: {text}" if error.node() >= 0 else text


def _tensor(tensor: ITensor) -> Tensor:
    dtype = _NUMPY_TYPES.get(tensor.dtype.name, tensor.dtype.name)
    return Tensor(tensor.name, dtype, [None if axis < 0 else axis for axis in axes(tensor.shape)])
