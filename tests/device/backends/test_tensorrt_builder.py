"""The builder's code on the real builder of TensorRT-RTX, which needs no GPU, and on the double."""

from __future__ import annotations

import re

import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.errors import BackendUnavailable, BuildFailed, UnsupportedPrecision
from gdws_agent.backends.tensorrt_builder import BuilderOptions, build_plan, check_release
from gdws_contract.manifest import TensorSpec
from support import real_builder
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts
from support.exported import FORMS, NETWORKS, exported
from support.fake_pycuda import Gpu
from support.fake_tensorrt import BuilderFlag, make_tensorrt
from support.real_builder import build_all


def spec(tmp_path, batch_size=2, precision="fp32", shape=INPUT_SHAPE):
    return EngineSpec(
        precision=precision,
        batch_size=batch_size,
        input=TensorSpec(name="input", shape=list(shape)),
        output=TensorSpec(name="logits", shape=[CLASSES]),
        threads=1,
        cache_dir=tmp_path,
    )


def model(fault=None, variant="gdws"):
    faults = {variant: fault} if fault else {}
    return tiny_parts(faults=faults)[1][f"variants/{variant}/model.onnx"]


@pytest.fixture
def double(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the double runs on onnxruntime")
    gpu = Gpu()
    gpu.stack.append("a context")
    return make_tensorrt(gpu)


@pytest.mark.skipif(not real_builder.is_installed(), reason=real_builder.ABSENT)
class TestRealBuilder:
    @pytest.mark.parametrize("network", NETWORKS)
    def test_every_network_that_the_project_exports(self, tmp_path, network):
        pytest.importorskip("torch", reason="torch is not installed here")
        models = [exported(network, form)[0] for form in FORMS]
        results = build_all(tmp_path, models, shape=NETWORKS[network], classes=CLASSES)
        for form, result in zip(FORMS, results):
            assert result.get("engine_bytes", 0) > 10_000, (form, result)

    @pytest.mark.parametrize(("precision", "flag"), [("fp32", False), ("tf32", True)])
    def test_the_configuration_in_force(self, tmp_path, precision, flag):
        options = {"workspace_bytes": 2**25, "optimization_level": 1, "avg_timing_iterations": 2}
        result = build(tmp_path, model(), precision=precision, **options)
        assert {name: result[name] for name in options} == options
        assert result["tf32"] is flag
        assert result["profiles"] == 1
        assert result["words"] == ["workspace_mib=32", "avg_timing=2", "builder_optimization_level=1"]

    def test_a_precision_whose_flag_is_gone(self, tmp_path):
        result = build(tmp_path, model(), precision="fp16")
        assert result["error"] == "UnsupportedPrecision"
        assert "no flag for fp16" in result["message"]
        assert result["hint"]

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ("unknown-operator", r"node 'teleport' \(Teleport\): .*Plugin not found"),
            ("huge", "Tensor huge has 281474976710656 elements"),
            ("wrong-shape", r"\[any, 2, 9, 8\], \[2, 2, 8, 8\] is asked for"),
            ("not-onnx", "cannot read the model"),
        ],
    )
    def test_a_model_that_cannot_be_built(self, tmp_path, fault, words):
        result = build(tmp_path, model(fault))
        assert result["error"] == "BuildFailed"
        assert re.search(words, result["message"])

    def test_garbage(self, tmp_path):
        models = [b"", b"\0" * 1000, b"\xff" * 1000, model()[:-200]]
        results = build_all(tmp_path, models, shape=INPUT_SHAPE, classes=CLASSES)
        assert [result.get("error") for result in results] == ["BuildFailed"] * len(models)

    def test_a_timing_cache_that_is_none(self, tmp_path):
        assert build(tmp_path, model(), timings=b"garbage" * 100)["engine_bytes"] > 10_000


def build(tmp_path, content, **options):
    return build_all(tmp_path, [content], shape=INPUT_SHAPE, classes=CLASSES, **options)[0]


class TestOnTheDouble:
    @pytest.mark.parametrize(("precision", "flags"), [("fp32", []), ("fp16", [BuilderFlag.FP16])])
    def test_flags(self, double, tmp_path, precision, flags):
        seen = []
        wanted = spec(tmp_path, precision=precision)
        build_plan(double, model(), wanted, BuilderOptions(), prepare=lambda config: seen.append(config.flags_on))
        assert seen == [set(flags)]

    @pytest.mark.parametrize(("precision", "lacking"), [("tf32", "platform_has_tf32"), ("fp16", None)])
    def test_a_gpu_that_lacks_it(self, double, tmp_path, monkeypatch, precision, lacking):
        if lacking is None:
            monkeypatch.setattr(double.Builder, "platform_has_fast_fp16", False)
        with pytest.raises(UnsupportedPrecision, match=f"no fast {precision}"):
            build_plan(double, model(), spec(tmp_path, precision=precision), BuilderOptions())

    def test_a_release_without_levels_does_not_tell_of_them(self, double):
        assert BuilderOptions().in_words(double) == ["workspace_mib=1024", "avg_timing=8"]

    def test_an_old_parser_tells_the_number_of_the_node_and_the_log_its_operator(self, double, tmp_path):
        with pytest.raises(BuildFailed, match=r"node 7: .*While parsing node number 7 \[Teleport\]"):
            build_plan(double, model("unknown-operator"), spec(tmp_path), BuilderOptions())

    @pytest.mark.parametrize("lacking", ["Builder.build_serialized_network", "IExecutionContext.set_tensor_address"])
    def test_a_release_that_is_too_old(self, lacking):
        old = make_tensorrt(Gpu(), "8.2.1.9", [lacking])
        with pytest.raises(BackendUnavailable, match=rf"TensorRT 8\.2\.1\.9 is too old: it lacks {lacking}") as caught:
            check_release(old)
        assert "JetPack 5.1" in (caught.value.hint or "")

    def test_a_builder_that_does_not_start(self, tmp_path):
        pytest.importorskip("onnxruntime", reason="the double runs on onnxruntime")
        with pytest.raises(BackendUnavailable, match=r"does not start: .*invalid device context"):
            build_plan(make_tensorrt(Gpu()), model(), spec(tmp_path), BuilderOptions())
