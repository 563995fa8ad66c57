"""From a precision to the builder's flags, by what release, GPU and model allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from gdws_agent.errors import PrecisionUnsupported

from .network import ModelTypes

if TYPE_CHECKING:
    from tensorrt import Builder, BuilderFlag

#: Precision -> the builder's flag for it; float32 is the absence of all of them.
_FLAGS = {"fp32": None, "tf32": "TF32", "fp16": "FP16", "int8": "INT8"}
#: Precision -> the builder's property that tells whether the GPU has it, where the builder has that property.
_HARDWARE = {"tf32": "platform_has_tf32", "fp16": "platform_has_fast_fp16", "int8": "platform_has_fast_int8"}
PRECISIONS = list(_FLAGS)

#: What a DLA computes in.
_DLA_PRECISIONS = ("fp16", "int8")


def precision_flags(trt: Any, builder: Builder, precision: str, model: ModelTypes, dla: bool) -> List[BuilderFlag]:
    """Return the builder's flags for ``precision``; none for float32, nor where the model's own types say it all.

    With int8 comes fp16, where the GPU has it: for layers that are faster or not quantised.

    Raises:
        PrecisionUnsupported: this backend, release, GPU or accelerator does not have it, or the model is
            quantised and another is asked for.
    """
    if precision not in _FLAGS:
        raise PrecisionUnsupported(
            f"tensorrt does not build in {precision}", hint=f"it builds in {', '.join(PRECISIONS)}"
        )
    if dla and precision not in _DLA_PRECISIONS:
        raise PrecisionUnsupported(
            f"the deep learning accelerator does not compute in {precision}", hint="build in fp16 or int8"
        )
    if model.quantized and precision != "int8":
        raise PrecisionUnsupported(
            f"the model is quantised: it has QuantizeLinear nodes, and {precision} is asked for",
            hint="build it in int8, and the network before quantisation in the others",
        )
    name = _FLAGS[precision]
    if name is None:
        return []
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is None:
        if (precision == "fp16" and model.half) or (precision == "int8" and model.quantized):
            return []
        raise PrecisionUnsupported(
            f"TensorRT {trt.__version__} has no flag for {precision}: it takes the types as the model has them",
            hint=_MODEL_HINTS.get(precision, "build in fp32, or with TensorRT 8.5 to 10"),
        )
    if not _has_fast(builder, precision):
        raise PrecisionUnsupported(f"this GPU has no fast {precision}", hint="use fp32 or fp16; TF32 came with Orin")
    return [flag, trt.BuilderFlag.FP16] if precision == "int8" and _has_fast(builder, "fp16") else [flag]


_MODEL_HINTS = {
    "fp16": "build in fp32, export the model in float16, or use TensorRT 8.5 to 10",
    "int8": "quantise the model before export (QuantizeLinear and DequantizeLinear nodes), or use TensorRT 8.5 to 10",
}


def _has_fast(builder: Builder, precision: str) -> bool:
    return bool(getattr(builder, _HARDWARE[precision], True))
