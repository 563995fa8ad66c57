from dataclasses import replace
from pathlib import Path

import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.onnxruntime.providers import cuda_settings, tensorrt_settings
from gdws_contract.engines import EngineOptions
from gdws_contract.manifest import OutputSpec, TensorSpec

SPEC = EngineSpec(
    precision="fp32",
    batch_size=1,
    input=TensorSpec(name="input", shape=[1]),
    outputs=(OutputSpec(name="logits", shape=[1]),),
    threads=1,
    cache_dir=Path("cache"),
)


@pytest.mark.parametrize(
    ("version", "told", "word"),
    [("1.16.3", None, "tf32=as the CUDA libraries choose"), ("1.18.0", "0", "tf32=0"), ("1.31.1", "0", "tf32=0")],
)
def test_float32_is_float32_where_the_release_can_be_told(version, told, word):
    settings = cuda_settings(version)

    assert settings.options.get("use_tf32") == told
    assert word in settings.words


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"), [("fp32", "False", "False"), ("fp16", "True", "False"), ("int8", "True", "True")]
)
def test_precisions_are_flags_of_tensorrt(precision, fp16, int8):
    options = tensorrt_settings(replace(SPEC, precision=precision), Path("engines")).options

    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (fp16, int8)
    assert (options["trt_engine_cache_enable"], options["trt_engine_cache_path"]) == ("True", "engines")


def test_choices_of_the_request_are_options_of_tensorrt():
    chosen = EngineOptions(workspace_mib=2, optimization_level=5, dla_core=1, gpu_fallback=False)
    settings = tensorrt_settings(replace(SPEC, options=chosen), Path("engines"))

    assert settings.options["trt_max_workspace_size"] == str(2 * 2**20)
    assert settings.options["trt_builder_optimization_level"] == "5"
    assert (settings.options["trt_dla_enable"], settings.options["trt_dla_core"]) == ("True", "1")
    assert {"workspace_mib=2", "optimization_level=5", "dla_core=1", "gpu_fallback=False, not used"} <= set(
        settings.words
    )


def test_nothing_is_told_that_was_not_chosen():
    assert not {"trt_builder_optimization_level", "trt_dla_enable"} & set(
        tensorrt_settings(SPEC, Path("engines")).options
    )


def test_the_workspace_is_stated_even_where_none_is_asked_for():
    """Releases of ONNX Runtime have defaults of their own, and they differ."""
    settings = tensorrt_settings(SPEC, Path("engines"))

    assert settings.options["trt_max_workspace_size"] == str(2**30)
    assert "workspace_mib=1024" in settings.words


def test_that_the_precision_was_not_read_back_is_told():
    assert any(word.startswith("precision_read_back=no") for word in tensorrt_settings(SPEC, Path("engines")).words)
