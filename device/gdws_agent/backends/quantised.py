"""Models that are quantised explicitly, by QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

from gdws_agent.errors import PrecisionUnsupported

#: The node that turns integers back into floats, in every model that is quantised explicitly.
_NODE = b"DequantizeLinear"


def refuse_quantised(model: bytes) -> None:
    """Refuse a ``model`` that is quantised, for backends that make it anew of torch modules, which have no integers.

    Raises:
        PrecisionUnsupported: as said.
    """
    if _NODE in model:
        raise PrecisionUnsupported(
            "the model is quantised: it has QuantizeLinear nodes, which no torch module stands for",
            hint="run it by the backend tensorrt or onnxruntime, and the network before quantisation by this one",
        )


def check_quantised(model: bytes, precision: str) -> None:
    """Refuse INT8 for a ``model`` that is not quantised, which would run in float, and anything else for one that is.

    Raises:
        PrecisionUnsupported: as said.
    """
    quantised = _NODE in model
    if precision == "int8" and not quantised:
        raise PrecisionUnsupported(
            "the model has no quantised layers, and this backend does not find their ranges itself",
            hint="pack a variant in INT8 (gdws convert --int8), or use the backend tensorrt, which calibrates on the "
            "bundle's inputs",
        )
    if precision != "int8" and quantised:
        raise PrecisionUnsupported(
            f"the model is quantised: it has QuantizeLinear nodes, and {precision} is asked for",
            hint="run it in int8, and the network before quantisation in the others",
        )
