"""What every backend must do. A new one is held to this by being in the registry."""

import gc
import io
from dataclasses import replace

import numpy as np
import pytest

from gdws_agent.backends import registry
from gdws_agent.errors import BackendError, BuildFailed, OutOfMemory, PrecisionUnsupported, RunFailed
from gdws_agent.measuring.parity import ACCURACY_TOLERANCE
from gdws_contract.rest import Availability
from support.backend_cases import model, spec_in
from support.bundles import CLASSES, OUTPUTS, tiny_parts
from support.cuda_torch_installed import install_cuda_torch, install_torch2trt
from support.onnxruntime_installed import install as install_onnxruntime
from support.tensorrt_installed import install

COUNT = 7
VARIANTS = ("dense", "gdws")


#: TensorRT and pycuda replaced by stand-ins, which run on the CPU.
DOUBLE = "tensorrt on a double"

#: Backends of a GPU over stand-ins that compute on the CPU: what is installed for each, and what that runs on.
ON_DOUBLES = {
    "pytorch": (install_cuda_torch, "onnx2torch"),
    "torch2trt": (install_torch2trt, "onnx2torch"),
    "onnxruntime-cuda": (install_onnxruntime, "onnxruntime"),
    "onnxruntime-tensorrt": (install_onnxruntime, "onnxruntime"),
}


@pytest.fixture(params=[*registry.BACKENDS, DOUBLE, *(f"{name} on a double" for name in ON_DOUBLES)])
def backend(request, monkeypatch):
    """Every backend that can be used here."""
    if request.param == DOUBLE:
        pytest.importorskip("onnxruntime", reason="the double of TensorRT runs on onnxruntime")
        _, gpu = install(monkeypatch)
        yield registry.get("tensorrt")
        gc.collect()
        assert not gpu.memory, "memory of the GPU was not freed"
        assert not gpu.stack, "the GPU's context is still current"
        assert gpu.retained <= 1, "the GPU's primary context is retained anew for each engine"
        assert not gpu.faults
        return
    name, _, on_double = request.param.partition(" on ")
    if on_double:
        install_stand_in, package = ON_DOUBLES[name]
        pytest.importorskip(package, reason=f"the stand-in runs on {package}")
        install_stand_in(monkeypatch)
        yield registry.get(name)
        return
    backend = registry.get(request.param)
    availability = backend.probe()
    if not availability.available:
        pytest.skip(f"{request.param}: {availability.reason}")
    yield backend


@pytest.fixture(params=list(registry.BACKENDS))
def any_backend(request):
    """Every backend, wherever it can be used."""
    return registry.get(request.param)


@pytest.fixture
def spec(tmp_path):
    def make(batch_size=COUNT, precision="fp32"):
        return spec_in(tmp_path / "cache", precision, batch_size)

    return make


def read(name):
    _, members = tiny_parts(variants=VARIANTS, count=COUNT)
    return np.load(io.BytesIO(members[name]))


def inputs():
    return read("verification/inputs.npy")


def host_logits():
    return read("variants/gdws/outputs.0.npy")


class TestProbe:
    def test_it_says_what_it_is(self, any_backend):
        availability = any_backend.probe()
        assert isinstance(availability, Availability)
        assert availability.name == any_backend.name
        assert registry.get(any_backend.name).name == any_backend.name

    def test_it_runs_in_some_precision_or_says_why_not(self, any_backend):
        availability = any_backend.probe()
        if availability.available:
            assert availability.precisions
            assert set(availability.precisions) <= set(ACCURACY_TOLERANCE)
            assert availability.reason is None
        else:
            assert availability.reason


class TestBuild:
    def test_what_it_tells_of_the_engine(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            assert engine.build.precision == "fp32"
            assert engine.build.time_s > 0
            assert engine.build.options
            assert all("=" in option for option in engine.build.options)
            assert len(engine.scope) > 20

    def test_an_unknown_precision(self, backend, spec):
        with pytest.raises(PrecisionUnsupported, match="fp3"):
            backend.build(model(), spec(precision="fp3"))

    @pytest.mark.parametrize("fault", ["not-onnx", "unknown-operator", "wrong-shape", "new-opset"])
    def test_a_model_that_cannot_be_built(self, backend, spec, fault):
        with pytest.raises(BuildFailed) as caught:
            backend.build(model(fault=fault), spec())
        assert len(caught.value.message) > 20

    def test_the_unknown_operator_is_named(self, backend, spec):
        with pytest.raises(BuildFailed, match="Teleport"):
            backend.build(model(fault="unknown-operator"), spec())

    @pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"\xff" * 1000])
    def test_garbage(self, backend, spec, content):
        with pytest.raises(BuildFailed):
            backend.build(content, spec())

    def test_a_cut_off_model(self, backend, spec):
        whole = model()
        with pytest.raises(BackendError):
            backend.build(whole[: len(whole) // 2], spec()).__exit__(None, None, None)

    def test_names_that_are_not_the_models(self, backend, spec):
        wrong = spec()
        rename = {"name": "elsewhere"}
        renamed = wrong.input.model_copy(update=rename), (wrong.outputs[0].model_copy(update=rename),)
        for change in ({"input": renamed[0]}, {"outputs": renamed[1]}):
            with pytest.raises(BuildFailed, match="elsewhere"):
                backend.build(model(), replace(wrong, **change))


class TestRun:
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("batch_size", [1, 3, COUNT])
    def test_the_logits_are_the_hosts(self, backend, spec, variant, batch_size):
        with backend.build(model(variant=variant), spec(batch_size)) as engine:
            batch = np.ascontiguousarray(inputs()[:batch_size])
            logits = engine.bind(batch)()[0]
            assert logits.shape == (batch_size, CLASSES)
            assert np.allclose(logits, host_logits()[:batch_size], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("order", [1, -1], ids=["in order", "in another order"])
    def test_several_outputs(self, backend, spec, order):
        _, members = tiny_parts(count=COUNT, two_outputs=True)
        wanted = replace(spec(), outputs=tuple(OUTPUTS[::order]))
        with backend.build(members["variants/gdws/model.onnx"], wanted) as engine:
            logits, classes = engine.bind(inputs())()[::order]
            assert (logits.shape, classes.shape, classes.dtype.kind) == ((COUNT, CLASSES), (COUNT,), "i")
            assert np.allclose(logits, host_logits(), rtol=1e-4, atol=1e-4)
            assert np.array_equal(classes, logits.argmax(axis=1))

    def test_a_step_can_be_run_again(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            step = engine.bind(inputs())
            first = step()[0].copy()
            for _ in range(5):
                assert np.array_equal(step()[0], first)

    def test_every_row_has_its_own_logits(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            forth = engine.bind(inputs())()[0].copy()
            back = engine.bind(np.ascontiguousarray(inputs()[::-1]))()[0]
            assert np.allclose(back[::-1], forth, atol=1e-6)

    def test_steps_of_one_engine_keep_to_their_inputs(self, backend, spec):
        with backend.build(model(), spec(2)) as engine:
            first = engine.bind(np.ascontiguousarray(inputs()[:2]))
            second = engine.bind(np.ascontiguousarray(inputs()[2:4]))
            expected = host_logits()
            assert np.allclose(second()[0], expected[2:4], atol=1e-4)
            assert np.allclose(first()[0], expected[:2], atol=1e-4)

    def test_engines_side_by_side(self, backend, spec):
        with backend.build(model(variant="dense"), spec(1)) as one, backend.build(
            model(variant="gdws"), spec(2)
        ) as other:
            a, b = one.bind(np.ascontiguousarray(inputs()[:1])), other.bind(np.ascontiguousarray(inputs()[1:3]))
            for _ in range(3):
                assert np.allclose(a()[0], host_logits()[:1], atol=1e-4)
                assert np.allclose(b()[0], host_logits()[1:3], atol=1e-4)

    def test_inputs_may_be_read_only(self, backend, spec):
        batch = inputs()
        batch.flags.writeable = False
        with backend.build(model(), spec()) as engine:
            assert np.allclose(engine.bind(batch)()[0], host_logits(), atol=1e-4)

    def test_inputs_are_left_alone(self, backend, spec):
        batch = inputs()
        with backend.build(model(), spec()) as engine:
            engine.bind(batch)()
        assert np.array_equal(batch, inputs())

    def test_nan_comes_out_as_nan(self, backend, spec):
        with backend.build(model(fault="nan"), spec()) as engine:
            assert np.isnan(engine.bind(inputs())()[0]).all()

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda batch: batch[:-1],
            lambda batch: batch.astype(np.float64),
            lambda batch: batch[:, :, :-1],
            lambda batch: np.asfortranarray(batch),
            lambda batch: batch.reshape(COUNT, -1),
        ],
    )
    def test_inputs_that_do_not_fit_are_refused(self, backend, spec, wrong):
        with backend.build(model(), spec()) as engine, pytest.raises(ValueError, match="the engine takes"):
            engine.bind(wrong(inputs()))

    def test_more_than_the_memory(self, backend, spec):
        with pytest.raises(OutOfMemory) as caught, backend.build(model(fault="huge"), spec()) as engine:
            engine.bind(inputs())()
        assert caught.value.hint

    def test_it_goes_on_after_a_failure(self, backend, spec):
        with backend.build(model(fault="huge-batch"), spec(1)) as engine:
            batch = np.ascontiguousarray(inputs()[:1])
            expected = engine.bind(batch)()[0].copy()
            with pytest.raises(OutOfMemory), backend.build(model(fault="huge"), spec()) as other:
                other.bind(inputs())()
            assert np.array_equal(engine.bind(batch)()[0], expected)


class TestFreeing:
    def test_a_freed_engine_refuses(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            pass
        with pytest.raises(RunFailed, match="freed"):
            engine.bind(inputs())

    def test_freeing_twice_is_no_error(self, backend, spec):
        engine = backend.build(model(), spec())
        engine.__exit__(None, None, None)
        engine.__exit__(None, None, None)

    def test_many_engines_one_after_the_other(self, backend, spec):
        for _ in range(20):
            with backend.build(model(), spec(1)) as engine:
                engine.bind(np.ascontiguousarray(inputs()[:1]))()
        gc.collect()


def test_an_engine_states_what_it_has_and_no_more_than_its_backend(backend, spec):
    with backend.build(model(), spec()) as engine:
        stated = engine.capabilities
    assert (stated.layer_profiles, stated.device_times, stated.device_memory) == tuple(
        hasattr(engine, name) for name in ("profile", "device_times", "device_memory")
    )
    assert stated.on_device or not stated.device_memory
    for name, has in vars(stated).items():
        assert not has or getattr(backend.capabilities, name)


class TestProfile:
    """Of engines that tell the time of single layers."""

    @pytest.fixture
    def layers(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            if not engine.capabilities.layer_profiles:
                pytest.skip("the runtime cannot time single layers")
            assert len(engine.profiler) > 10
            return engine.profile(inputs(), 3)

    def test_times_and_shares(self, layers):
        assert layers
        assert all(layer.name for layer in layers)
        assert len({layer.name for layer in layers}) == len(layers)
        assert sum(layer.share for layer in layers) == pytest.approx(1)
        assert sum(layer.mean_ms for layer in layers) > 0

    def test_the_engine_runs_on_afterwards(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            if not engine.capabilities.layer_profiles:
                pytest.skip("the runtime cannot time single layers")
            step = engine.bind(inputs())
            expected = step()[0].copy()
            engine.profile(inputs(), 1)
            assert np.array_equal(step()[0], expected)

    def test_inputs_that_do_not_fit_are_refused(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            if not engine.capabilities.layer_profiles:
                pytest.skip("the runtime cannot time single layers")
            with pytest.raises(ValueError, match="the engine takes"):
                engine.profile(inputs()[:-1], 1)

    def test_a_freed_engine_refuses(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            pass
        if not engine.capabilities.layer_profiles:
            pytest.skip("the runtime cannot time single layers")
        with pytest.raises(RunFailed, match="freed"):
            engine.profile(inputs(), 1)


class TestDeviceTimes:
    """Of engines whose runtime has events on the device."""

    def test_they_are_of_a_step_that_ran(self, backend, spec):
        with backend.build(model(), spec()) as engine:
            if not engine.capabilities.device_times:
                pytest.skip("the runtime has no events")
            step = engine.bind(inputs())
            with pytest.raises(RunFailed, match="no step has run"):
                engine.device_times()
            step()
            assert all(time >= 0 for time in engine.device_times())
        with pytest.raises(RunFailed, match="freed"):
            engine.device_times()


def test_device_memory_is_told_in_bytes_with_its_method_while_the_engine_lives(backend, spec):
    with backend.build(model(), spec()) as engine:
        if not engine.capabilities.device_memory:
            pytest.skip("the runtime does not tell")
        told = engine.device_memory()
        assert told.peak_bytes > inputs().nbytes
        assert told.method
    with pytest.raises(RunFailed, match="freed"):
        engine.device_memory()
