"""The layers of an engine, from the JSON of TensorRT's engine inspector. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Dict, List, NamedTuple

#: What a data type is called in "Format/Datatype", e.g. "Half" or "Channel major FP16 format where ...".
_TYPES = (
    ("int8", re.compile(r"\bint8\b", re.IGNORECASE)),
    ("bf16", re.compile(r"\b(bf16|bfloat16)\b", re.IGNORECASE)),
    ("fp16", re.compile(r"\b(fp16|half)\b", re.IGNORECASE)),
    ("fp8", re.compile(r"\bfp8\b", re.IGNORECASE)),
    ("fp32", re.compile(r"\b(fp32|float)\b", re.IGNORECASE)),
)
#: Layers that only move data between GPU and accelerator, or change its format.
_COPY = re.compile(r"( to nvm| from nvm| copy finish)$|^Reformatting CopyNode ")
_REFORMAT = re.compile(r"^Reformatting CopyNode for (?:Network )?(?:Input|Output) Tensor \S+ to ")
#: How the compiler of other releases names what it fused; such a layer runs on the GPU.
_GPU_COMPILERS = ("myelin", "kgen")


class LayerFacts(NamedTuple):
    """One layer of the engine.

    ``kind`` is what it does, in TensorRT's terms, and ``metadata`` names the ONNX nodes that it came from; both
    are empty where the release does not report it.
    """

    name: str
    kind: str
    metadata: str


class Devices(NamedTuple):
    """Parts of an engine on an accelerator, each a run of layers that it takes as one, and layers on the GPU."""

    dla_parts: int
    gpu_layers: int


def layer_facts(information: str) -> List[LayerFacts]:
    """Return the layers in order; none when the engine was built without details on them."""
    return [
        LayerFacts(
            name=str(layer.get("Name", "")),
            kind=str(layer.get("ParameterType") or layer.get("LayerType") or ""),
            metadata=str(layer.get("Metadata") or ""),
        )
        for layer in _layers(information)
    ]


def layer_precisions(information: str) -> Dict[str, int]:
    """Return precision -> number of layers with weights that compute in it, from the inspector's JSON.

    A layer computes in the type of its first input. Empty when the engine reports no such layer, as with engines
    that were not built with detailed profiling verbosity.
    """
    found = [_input_type(layer) for layer in _layers(information) if _has_weights(layer)]
    return dict(Counter(name for name in found if name))


def layer_devices(information: str) -> Devices:
    """Return what runs where; copies between accelerator and GPU are not counted."""
    devices = [_device(layer) for layer in _layers(information) if not _COPY.search(str(layer.get("Name", "")))]
    return Devices(devices.count("dla"), devices.count("gpu"))


def precision_in_force(asked: str, counts: Dict[str, int]) -> str:
    """Return the requested precision if any layer has it, else that of most layers.

    TensorFloat-32 keeps its data in float32. An engine that reports nothing is assumed to have what was asked for, as
    :func:`counts_in_words` says.
    """
    if not counts or asked in counts or (asked == "tf32" and "fp32" in counts):
        return asked
    return max(counts, key=lambda name: counts[name])


def reformats_in_words(information: str) -> List[str]:
    """Return how many layers only change the format of their data, and for which layers, e.g. around a gather.

    Empty when the engine tells of no layer in detail.
    """
    layers = layer_facts(information)
    found = [layer.name for layer in layers if layer.kind.lower() == "reformat" or _REFORMAT.match(layer.name)]
    targets = dict.fromkeys(_REFORMAT.sub("", name) for name in found if _REFORMAT.match(name))
    words = f"reformats={len(found)}" + (f", for {', '.join(targets)}" if targets else "")
    return [words] if layers else []


def counts_in_words(counts: Dict[str, int]) -> List[str]:
    """Return e.g. ``layers_fp16=20``, ``layers_fp32=1``; that nothing was read back where there are none."""
    if not counts:
        return ["precision_read_back=no, the engine tells the type of no layer with weights"]
    return [f"layers_{name}={counts[name]}" for name in sorted(counts)]


def _layers(information: str) -> List[Dict[str, Any]]:
    try:
        document = json.loads(information)
    except ValueError:
        return []
    layers = document.get("Layers") if isinstance(document, dict) else None
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _has_weights(layer: Dict[str, Any]) -> bool:
    weights = layer.get("Weights")
    return isinstance(weights, dict) and bool(weights.get("Count"))


def _input_type(layer: Dict[str, Any]) -> str:
    inputs = layer.get("Inputs") or [{}]
    text = str(inputs[0].get("Format/Datatype", "")) if isinstance(inputs[0], dict) else ""
    return next((name for name, pattern in _TYPES if pattern.search(text)), "")


def _device(layer: Dict[str, Any]) -> str:
    """An accelerator's part is of the type DLA, or a foreign node that is not of a compiler for the GPU."""
    kind = str(layer.get("LayerType", "")).lower()
    foreign = str(layer.get("Name", "")).startswith("{ForeignNode[")
    return "dla" if "dla" in kind or (foreign and kind not in _GPU_COMPILERS) else "gpu"
