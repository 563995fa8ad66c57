"""A lower bound on the memory of a build, checked before it starts: a build that runs out of memory crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, NamedTuple, Sequence

from gdws_agent.backends.cuda.context import FreeMemory
from gdws_agent.errors import OutOfMemory

from .options import BuilderOptions
from .shapes import axes

if TYPE_CHECKING:
    from tensorrt import ILayer, INetworkDefinition, ITensor

#: Bytes of one element, by TensorRT's name of its type; of any other type 4.
_ELEMENT_BYTES = {"HALF": 2, "BF16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1, "FP8": 1, "INT64": 8}
#: Bytes that a float32 activation takes in an engine of lower precision.
_FLOAT_BYTES = {"fp16": 2, "int8": 1}
#: The network's weights are held once by the parsed network and once by the engine.
_COPIES_OF_WEIGHTS = 2


class Need(NamedTuple):
    """What a build takes, in bytes. Activations: inputs and outputs of the layer where they are largest."""

    weights_bytes: int
    activations_bytes: int
    workspace_bytes: int


def estimate_need(
    trt: Any, network: INetworkDefinition, model_bytes: int, options: BuilderOptions, precision: str
) -> Need:
    """Return what building ``network`` takes at its largest batch size.

    ``model_bytes`` is the size of the ONNX file, nearly all weights.
    """
    batch_size, float_bytes = options.batches.largest, _FLOAT_BYTES.get(precision, 4)
    activations = max((_layer_bytes(layer, batch_size, float_bytes) for layer in _layers(trt, network)), default=0)
    return Need(_COPIES_OF_WEIGHTS * model_bytes, activations, options.workspace_bytes)


def check_memory(need: Need, free: FreeMemory) -> None:
    """Check that there is memory for a build.

    Raises:
        OutOfMemory: there is not; the message has the figures.
    """
    total = sum(need)
    if total <= free.size_bytes:
        return
    raise OutOfMemory(
        f"the build takes about {_mib(total)}: {_mib(need.weights_bytes)} for weights, "
        f"{_mib(need.activations_bytes)} for the activations of one layer, {_mib(need.workspace_bytes)} of "
        f"workspace; {_mib(free.size_bytes)} of {'memory, shared by GPU and CPU,' if free.shared else 'GPU memory'} "
        "are free",
        hint="lower workspace_mib, use a smaller batch or fewer variants, or free memory",
    )


def _layers(trt: Any, network: INetworkDefinition) -> List[List[ITensor]]:
    """Return the tensors in and out of each layer, but for constants: these are weights, not activations."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    constants = {tensor.name for layer in layers if layer.type == trt.LayerType.CONSTANT for tensor in _tensors(layer)}
    return [[tensor for tensor in _tensors(layer) if tensor.name not in constants] for layer in layers]


def _tensors(layer: ILayer) -> List[ITensor]:
    inputs = (layer.get_input(index) for index in range(layer.num_inputs))
    outputs = (layer.get_output(index) for index in range(layer.num_outputs))
    return [tensor for tensor in (*inputs, *outputs) if tensor is not None]


def _layer_bytes(tensors: Sequence[ITensor], batch_size: int, float_bytes: int) -> int:
    return sum(_tensor_bytes(tensor, batch_size, float_bytes) for tensor in tensors)


def _tensor_bytes(tensor: ITensor, batch_size: int, float_bytes: int) -> int:
    """The first axis of unknown length is the batch; any other counts as 1, so that the whole is a lower bound."""
    name = tensor.dtype.name
    size = float_bytes if name == "FLOAT" else _ELEMENT_BYTES.get(name, 4)
    unknown = 0
    for axis in axes(tensor.shape):
        if axis >= 0:
            size *= axis
        else:
            unknown += 1
    return size * batch_size if unknown else size


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
