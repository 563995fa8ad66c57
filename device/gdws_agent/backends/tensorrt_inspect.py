"""In which precision does an engine compute? Read from what TensorRT's engine inspector tells. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Dict, List

#: What a data type is called in "Format/Datatype", e.g. "Half" or "Channel major FP16 format where ...".
_TYPES = (
    ("int8", re.compile(r"\bint8\b", re.IGNORECASE)),
    ("bf16", re.compile(r"\b(bf16|bfloat16)\b", re.IGNORECASE)),
    ("fp16", re.compile(r"\b(fp16|half)\b", re.IGNORECASE)),
    ("fp8", re.compile(r"\bfp8\b", re.IGNORECASE)),
    ("fp32", re.compile(r"\b(fp32|float)\b", re.IGNORECASE)),
)


def layer_precisions(information: str) -> Dict[str, int]:
    """Return precision -> number of layers with weights that compute in it, from the inspector's JSON.

    A layer computes in the type of its first input. Empty when the engine tells of no such layer, as engines do
    that were not built with detailed profiling verbosity.
    """
    try:
        document = json.loads(information)
    except ValueError:
        return {}
    layers = document.get("Layers", []) if isinstance(document, dict) else []
    found = [_input_type(layer) for layer in layers if isinstance(layer, dict) and _has_weights(layer)]
    return dict(Counter(name for name in found if name))


def precision_in_force(asked: str, counts: Dict[str, int]) -> str:
    """Return the precision that was asked for if any layer took it, else what most layers took.

    TensorFloat-32 keeps its data in float32, and an engine that tells nothing is taken at its word.
    """
    if not counts or asked in counts or (asked == "tf32" and "fp32" in counts):
        return asked
    return max(counts, key=lambda name: counts[name])


def counts_in_words(counts: Dict[str, int]) -> List[str]:
    """Return e.g. ``layers_fp16=20``, ``layers_fp32=1``."""
    return [f"layers_{name}={counts[name]}" for name in sorted(counts)]


def _has_weights(layer: Dict[str, Any]) -> bool:
    weights = layer.get("Weights")
    return isinstance(weights, dict) and bool(weights.get("Count"))


def _input_type(layer: Dict[str, Any]) -> str:
    inputs = layer.get("Inputs") or [{}]
    text = str(inputs[0].get("Format/Datatype", "")) if isinstance(inputs[0], dict) else ""
    return next((name for name, pattern in _TYPES if pattern.search(text)), "")
