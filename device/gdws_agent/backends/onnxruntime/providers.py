"""ONNX Runtime's execution providers for NVIDIA GPUs: what each is called, needs, and is told."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.engine_choices import workspace_mib
from gdws_agent.backends.packages import release
from gdws_contract.engines import EngineOptions

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

#: The first release that can be told to leave TF32 alone.
_TF32_RELEASE = (1, 18)


_NOT_READ_BACK = "precision_read_back=no, ONNX Runtime does not tell the types of TensorRT's layers"


class Settings(NamedTuple):
    """A provider as a session takes it, and what is worth knowing of it as name=value."""

    name: str
    options: Dict[str, str]
    words: List[str]


def cuda_settings(version: str) -> Settings:
    """Return the CUDA provider on the first GPU, in true float32 where release ``version`` can be told."""
    options = {"device_id": "0", "cudnn_conv_algo_search": "EXHAUSTIVE", "do_copy_in_default_stream": "1"}
    words = ["cudnn_conv_algo_search=exhaustive"]
    if release(version) >= _TF32_RELEASE:
        options["use_tf32"] = "0"
        words.append("tf32=0")
    else:
        words.append("tf32=as the CUDA libraries choose")
    return Settings(CUDA, options, words)


#: Choices of a request that :func:`tensorrt_settings` acts on.
TENSORRT_CHOICES = ("workspace_mib", "optimization_level", "dla_core", "gpu_fallback")


def tensorrt_settings(spec: EngineSpec, cache: Path) -> Settings:
    """Return the TensorRT provider on the first GPU, with its engines kept in the folder ``cache``."""
    chosen, words = _chosen(spec.options)
    options = {
        "device_id": "0",
        "trt_fp16_enable": str(spec.precision in ("fp16", "int8")),
        "trt_int8_enable": str(spec.precision == "int8"),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(cache),
        **chosen,
    }
    return Settings(TENSORRT, options, ["tf32=TensorRT's default", _NOT_READ_BACK, *words])


def _chosen(options: EngineOptions) -> Tuple[Dict[str, str], List[str]]:
    mib = workspace_mib(options)
    chosen = {"trt_max_workspace_size": str(mib * 2**20)}
    words = [f"workspace_mib={mib}"]
    if options.optimization_level is not None:
        chosen["trt_builder_optimization_level"] = str(options.optimization_level)
        words.append(f"optimization_level={options.optimization_level}")
    if options.dla_core is not None:
        chosen.update({"trt_dla_enable": "True", "trt_dla_core": str(options.dla_core)})
        words.append(f"dla_core={options.dla_core}")
    if not options.gpu_fallback:
        words.append("gpu_fallback=False, not used")
    return chosen, words
