"""The builder's code on the real builder of TensorRT-RTX, which needs no GPU, and on the double."""

import re

import numpy as np
import pytest

from gdws_agent.backends.cuda.context import FreeMemory
from gdws_agent.backends.tensorrt.builder import build_plan, check_release
from gdws_agent.backends.tensorrt.calibrate import Calibration
from gdws_agent.backends.tensorrt.log import Log
from gdws_agent.errors import BackendUnavailable, BuildFailed, OutOfMemory, PrecisionUnsupported
from support import real_builder
from support.backend_cases import images, model
from support.bundles import CLASSES, INPUT_SHAPE
from support.exported import FORMS, NETWORKS, exported, in_half, quantised
from support.fake_pycuda import Gpu
from support.fake_tensorrt import BuilderFlag, DeviceType, make_tensorrt
from support.real_builder import build_all

#: The layouts that networks of the paper are run in.
LAYOUTS = ("dense", "gather", "stacked", "grouped")


@pytest.mark.skipif(not real_builder.is_installed(), reason=real_builder.ABSENT)
class TestRealBuilder:
    @pytest.mark.parametrize("network", NETWORKS)
    def test_every_network_that_the_project_exports(self, tmp_path, network):
        pytest.importorskip("torch", reason="torch is not installed here")
        models = [exported(network, form)[0] for form in FORMS]
        results = build_all(tmp_path, models, shape=NETWORKS[network], classes=CLASSES)
        for form, result in zip(FORMS, results):
            assert result.get("engine_bytes", 0) > 10_000, (form, result)

    @pytest.mark.parametrize("network", NETWORKS)
    def test_every_network_in_float16(self, tmp_path, network):
        pytest.importorskip("torch", reason="torch is not installed here")
        models = [in_half(exported(network, form)[0]) for form in FORMS]
        results = build_all(
            tmp_path, models, shape=NETWORKS[network], classes=CLASSES, precision="fp16", dtype="float16"
        )
        for form, result in zip(FORMS, results):
            assert result.get("engine_bytes", 0) > 10_000, (form, result)

    @pytest.mark.parametrize("network", NETWORKS)
    def test_every_network_with_one_engine_for_several_batch_sizes(self, tmp_path, network):
        pytest.importorskip("torch", reason="torch is not installed here")
        models = [exported(network, form)[0] for form in ("gather", "stacked")]
        results = build_all(
            tmp_path,
            models,
            shape=NETWORKS[network],
            classes=CLASSES,
            batch_profile="all",
            batch_sizes=[1, 2, 32],
        )
        assert all(result.get("engine_bytes", 0) > 10_000 for result in results), results

    @pytest.mark.parametrize("network", ["small", "mnist-preact-resnet"])
    def test_quantised_networks_pass_through(self, tmp_path, network):
        pytest.importorskip("torch", reason="torch is not installed here")
        found = [exported(network, form) for form in LAYOUTS]
        models = [quantised(content, batch) for content, batch, _ in found]
        results = build_all(tmp_path, models, shape=NETWORKS[network], classes=CLASSES, precision="int8")
        for form, result in zip(LAYOUTS, results):
            assert result.get("engine_bytes", 0) > 10_000, (form, result)
            assert result["notes"] == ["int8_ranges=of the model"]

    def test_one_engine_for_several_batch_sizes(self, tmp_path):
        result = build(tmp_path, model(), batch_profile="all", batch_sizes=[1, 2, 8, 16])
        assert result["engine_bytes"] > 10_000
        assert "profile=batch 1 to 16, tuned for 2" in result["words"]

    @pytest.mark.parametrize(("precision", "flag"), [("fp32", False), ("tf32", True)])
    def test_the_configuration_in_force(self, tmp_path, precision, flag):
        result = build(tmp_path, model(), precision=precision, workspace_mib=32, optimization_level=1)
        assert result["workspace_bytes"] == 2**25
        assert result["optimization_level"] == 1
        assert result["avg_timing_iterations"] == 8
        assert result["tf32"] is flag
        assert result["profiles"] == 1
        assert result["words"] == [
            "workspace_mib=32",
            "avg_timing=8",
            "profile=batch 2 alone",
            "builder_optimization_level=1",
            "build_timeout_s=1800",
        ]

    @pytest.mark.parametrize(
        ("precision", "words"), [("fp16", "no flag for fp16"), ("int8", "no flag for int8"), ("int4", "int4")]
    )
    def test_a_precision_whose_flag_is_gone(self, tmp_path, precision, words):
        result = build(tmp_path, model(), precision=precision)
        assert result["error"] == "PrecisionUnsupported"
        assert words in result["message"]
        assert result["hint"]

    def test_there_is_no_accelerator(self, tmp_path):
        result = build_all(
            tmp_path,
            [in_half(model())],
            shape=INPUT_SHAPE,
            classes=CLASSES,
            precision="fp16",
            dtype="float16",
            dla_core=0,
        )[0]
        assert result["error"] == "BuildFailed"
        assert result["message"] == "DLA core 0 is asked for, and this device has none"

    def test_memory_is_estimated_before_the_build(self, tmp_path):
        pytest.importorskip("torch", reason="torch is not installed here")
        content = exported("preact-resnet18", "dense")[0]
        result = build_all(tmp_path, [content], shape=(3, 32, 32), classes=CLASSES, free_bytes=2**27, workspace_mib=64)
        assert result[0]["error"] == "OutOfMemory"
        # 11.2 million weights twice; for two images, two tensors of 64 x 32 x 32 into a sum and one out of it.
        assert result[0]["message"] == (
            "the build takes about 151 MiB: 85 MiB for weights, 2 MiB for the activations of one layer, 64 MiB of "
            "workspace; 128 MiB of memory, shared by GPU and CPU, are free"
        )

    def test_a_build_that_takes_too_long_is_given_up(self, tmp_path):
        result = build(tmp_path, model(), build_timeout_s=1e-6)
        assert result["error"] == "BuildFailed"
        assert result["message"] == "the build was stopped after 1e-06 s"
        assert "build_timeout_s" in result["hint"]

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

    def test_each_failure_of_one_process_has_its_own_words(self, tmp_path):
        faults = ("unknown-operator", "huge", "unknown-operator")
        results = build_all(tmp_path, [model(fault) for fault in faults], shape=INPUT_SHAPE, classes=CLASSES)
        assert ["Teleport" in result["message"] for result in results] == [True, False, True]

    def test_garbage(self, tmp_path):
        models = [b"", b"\0" * 1000, b"\xff" * 1000, model()[:-200]]
        results = build_all(tmp_path, models, shape=INPUT_SHAPE, classes=CLASSES)
        assert [result.get("error") for result in results] == ["BuildFailed"] * len(models)

    def test_a_timing_cache_that_is_none(self, tmp_path):
        assert build(tmp_path, model(), timings=b"garbage" * 100)["engine_bytes"] > 10_000


def build(tmp_path, content, **options):
    return build_all(tmp_path, [content], shape=INPUT_SHAPE, classes=CLASSES, **options)[0]


class _Double:
    """TensorRT of one release on a GPU whose context is current, with a log."""

    def __init__(self, **options):
        self.gpu = Gpu()
        self.gpu.stack.append("a context")
        self.trt = make_tensorrt(self.gpu, **options)
        self.driver = self.gpu.module()[1]
        self.log = Log(self.trt)

    def build(self, content, wanted, **more):
        return build_plan(self.trt, self.log, content, wanted, **more)

    @property
    def config(self):
        return self.trt.configs[-1]


@pytest.fixture
def make():
    pytest.importorskip("onnxruntime", reason="the double runs on onnxruntime")
    return _Double


@pytest.fixture
def double(make):
    return make()


class TestFlags:
    @pytest.mark.parametrize(("precision", "flags"), [("fp32", set()), ("fp16", {BuilderFlag.FP16})])
    def test_those_that_are_on(self, double, spec, precision, flags):
        double.build(model(), spec(precision=precision))
        assert double.config._flags == flags

    @pytest.mark.parametrize("precision", ["tf32", "fp16", "int8"])
    def test_a_gpu_that_lacks_it(self, double, spec, monkeypatch, precision):
        for name in ("platform_has_fast_fp16", "platform_has_fast_int8"):
            monkeypatch.setattr(double.trt.Builder, name, False)
        with pytest.raises(PrecisionUnsupported, match=f"no fast {precision}"):
            double.build(model(), spec(precision=precision))


class TestInt8:
    def test_ranges_are_found_from_every_input(self, double, spec):
        calibration = Calibration(double.driver, images(19))
        plan = double.build(model(), spec(precision="int8"), calibration=calibration)
        assert double.config._flags == {BuilderFlag.INT8, BuilderFlag.FP16}
        assert plan.notes == ["flags=INT8+FP16", "int8_ranges=entropy calibration, 19 inputs"]
        assert calibration.table.startswith(b"TRT-EntropyCalibration2")
        assert not double.gpu.memory
        other = Calibration(double.driver, images(20)[1:])
        double.build(model(), spec(precision="int8"), calibration=other)
        assert other.table != calibration.table

    def test_the_last_batch_is_filled_up_from_the_first_inputs(self, double, spec, monkeypatch):
        copied = []
        copy = double.driver.memcpy_htod
        monkeypatch.setattr(double.driver, "memcpy_htod", lambda dest, src: (copied.append(src), copy(dest, src)))
        inputs = images(11)
        double.build(model(), spec(precision="int8"), calibration=Calibration(double.driver, inputs))
        assert [len(batch) for batch in copied] == [8, 8]
        assert np.array_equal(np.concatenate(copied), np.concatenate([inputs, inputs[:5]]))

    def test_a_table_is_used_again(self, double, spec):
        table = b"TRT-EntropyCalibration2\nconv: 3c010a14"
        calibration = Calibration(double.driver, images(), table)
        double.build(model(), spec(precision="int8"), calibration=calibration)
        assert calibration.table == table

    def test_without_inputs_there_is_advice(self, double, spec):
        with pytest.raises(BuildFailed, match="needs inputs to calibrate with") as caught:
            double.build(model(), spec(precision="int8"))
        assert "verification set" in (caught.value.hint or "")

    def test_no_room_for_inputs(self, double, spec):
        double.gpu.memory_bytes = 10
        calibration = Calibration(double.driver, images())
        with pytest.raises(OutOfMemory, match="calibration inputs"):
            double.build(model(), spec(precision="int8"), calibration=calibration)

    def test_what_fails_in_calibration_is_told_though_tensorrt_builds_on(self, double, spec, monkeypatch):
        copies = []

        def copy(dest, src):
            copies.append(src)
            if len(copies) > 1:
                raise double.driver.LogicError("cuMemcpyHtoD failed: unspecified launch failure")

        monkeypatch.setattr(double.driver, "memcpy_htod", copy)
        calibration = Calibration(double.driver, images(20))
        with pytest.raises(BuildFailed, match=r"calibration failed: .*unspecified launch failure"):
            double.build(model(), spec(precision="int8"), calibration=calibration)
        assert not double.gpu.memory

    def test_a_quantised_model_brings_its_own(self, double, spec):
        content = quantised(model(), images(8))
        plan = double.build(content, spec(precision="int8"))
        assert plan.notes == ["flags=INT8+FP16", "int8_ranges=of the model"]
        assert not hasattr(double.config, "int8_calibrator") or double.config.int8_calibrator is None

    @pytest.mark.parametrize("precision", ["fp32", "fp16"])
    def test_a_quantised_model_runs_in_nothing_else(self, double, spec, precision):
        with pytest.raises(PrecisionUnsupported, match="the model is quantised"):
            double.build(quantised(model(), images(8)), spec(precision=precision))

    def test_a_release_that_calibrates_no_more(self, make, spec):
        newest = make(version="11.0.0")
        calibration = Calibration(newest.driver, images())
        with pytest.raises(PrecisionUnsupported, match="takes the types as the model has them") as caught:
            newest.build(model(), spec(precision="int8"), calibration=calibration)
        assert "QuantizeLinear" in (caught.value.hint or "")
        assert newest.build(quantised(model(), images(8)), spec(precision="int8")).engine

    def test_a_release_with_the_flag_but_no_calibrator(self, double, spec, monkeypatch):
        monkeypatch.delattr(double.trt, "IInt8EntropyCalibrator2")
        with pytest.raises(PrecisionUnsupported, match="does not calibrate"):
            double.build(model(), spec(precision="int8"), calibration=Calibration(double.driver, images()))


class TestAccelerator:
    def test_its_core_and_the_fallback(self, double, spec):
        double.build(model(), spec(precision="fp16", dla_core=1))
        assert (double.config.default_device_type, double.config.DLA_core) == (DeviceType.DLA, 1)
        assert double.config._flags == {BuilderFlag.FP16, BuilderFlag.GPU_FALLBACK}

    def test_without_fallback_tensorrt_names_the_layer(self, double, spec):
        with pytest.raises(BuildFailed, match=r"conv\.gather: not supported on DLA"):
            double.build(model(), spec(precision="fp16", dla_core=0, gpu_fallback=False))

    def test_a_core_that_is_not_there(self, make, spec):
        with pytest.raises(BuildFailed, match="DLA core 2 is asked for, and this device has 2, numbered from 0"):
            make().build(model(), spec(precision="fp16", dla_core=2))
        with pytest.raises(BuildFailed, match="this device has none") as caught:
            make(dla_cores=0).build(model(), spec(precision="fp16", dla_core=0))
        assert caught.value.hint

    @pytest.mark.parametrize("precision", ["fp32", "tf32"])
    def test_a_precision_that_it_lacks(self, double, spec, precision):
        with pytest.raises(PrecisionUnsupported, match=f"does not compute in {precision}") as caught:
            double.build(model(), spec(precision=precision, dla_core=0))
        assert caught.value.hint == "build in fp16 or int8"

    def test_int8_is_calibrated_for_it_too(self, double, spec):
        wanted = spec(precision="int8", dla_core=0)
        assert double.build(model(), wanted, calibration=Calibration(double.driver, images())).engine


class TestProfiles:
    def test_one_batch_size(self, double, spec):
        double.build(model(), spec(batch_size=3, batch_sizes=(1, 3, 8)))
        assert double.config._profiles[0]._shapes == {"input": [[3, *INPUT_SHAPE]] * 3}

    def test_all_batch_sizes_of_the_request(self, double, spec):
        double.build(model(), spec(batch_size=3, batch_sizes=(8, 1, 3), batch_profile="all"))
        assert [shape[0] for shape in double.config._profiles[0]._shapes["input"]] == [1, 3, 8]

    def test_a_model_that_fixes_its_batch_size(self, double, spec):
        import onnx

        fixed = onnx.load_from_string(model())
        fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
        plan = double.build(fixed.SerializeToString(), spec(batch_sizes=(1, 2), batch_profile="all"))
        assert plan.notes == ["batch_profile=each, for the model fixes its batch size"]
        wanted = spec(precision="int8")
        assert double.build(fixed.SerializeToString(), wanted, calibration=Calibration(double.driver, images(5))).engine


class TestLimits:
    def test_no_memory_is_told_before_the_builder_starts(self, double, spec):
        with pytest.raises(OutOfMemory, match=r"1024 MiB of workspace; 512 MiB of GPU memory") as caught:
            double.build(model(), spec(), free_memory=lambda: FreeMemory(2**29, shared=False))
        assert "workspace_mib" in (caught.value.hint or "")
        assert double.trt.builds == 0

    def test_less_workspace_makes_room(self, double, spec):
        wanted = spec(workspace_mib=64)
        assert double.build(model(), wanted, free_memory=lambda: FreeMemory(2**29, shared=True)).engine

    def test_a_build_that_takes_too_long(self, make, spec):
        with pytest.raises(BuildFailed, match="stopped after 1e-09 s"):
            make(version="10.3.0").build(model(), spec(build_timeout_s=1e-9))

    def test_a_release_that_cannot_be_stopped_builds_on(self, double, spec):
        assert double.build(model(), spec(build_timeout_s=1e-9)).engine


class TestFaults:
    def test_what_was_said_before_is_not_about_this_build(self, double, spec):
        double.log.logger.log(double.trt.ILogger.Severity.ERROR, "an engine complains of something else")
        with pytest.raises(BuildFailed) as caught:
            double.build(model("not-onnx"), spec())
        assert "something else" not in caught.value.message

    def test_an_old_parser_tells_the_number_of_the_node_and_the_log_its_operator(self, double, spec):
        with pytest.raises(BuildFailed, match=r"node 7: .*While parsing node number 7 \[Teleport\]"):
            double.build(model("unknown-operator"), spec())

    @pytest.mark.parametrize("lacking", ["Builder.build_serialized_network", "IExecutionContext.set_tensor_address"])
    def test_a_release_that_is_too_old(self, lacking):
        old = make_tensorrt(Gpu(), "8.2.1.9", [lacking])
        with pytest.raises(BackendUnavailable, match=rf"TensorRT 8\.2\.1\.9 is too old: it lacks {lacking}") as caught:
            check_release(old)
        assert "JetPack 5.1" in (caught.value.hint or "")

    def test_a_builder_that_does_not_start(self, double, spec):
        double.gpu.stack.clear()
        with pytest.raises(BackendUnavailable, match=r"does not start: .*invalid device context"):
            double.build(model(), spec())
