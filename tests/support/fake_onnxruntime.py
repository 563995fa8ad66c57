"""ONNX Runtime as it is where its GPU providers are, for tests on a machine without: nodes run on the CPU.

Everything else is the real runtime's. Options that a provider does not know are refused, as by the real one; a
provider whose libraries do not load is left out of the session without an error, as by the real one.
"""

import json
import types
from pathlib import Path

import numpy as np

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

_KNOWN = {
    CUDA: {"device_id", "cudnn_conv_algo_search", "do_copy_in_default_stream"},
    TENSORRT: {
        "device_id",
        "trt_fp16_enable",
        "trt_int8_enable",
        "trt_engine_cache_enable",
        "trt_engine_cache_path",
        "trt_max_workspace_size",
        "trt_builder_optimization_level",
        "trt_dla_enable",
        "trt_dla_core",
    },
}


class Misuse(AssertionError):
    """A call that the runtime leaves undefined."""


def make_onnxruntime(
    *, providers=(TENSORRT, CUDA, CPU), broken=(), refusal=None, heeds=True, takes=None, version="1.16.3"
):
    """The module ``onnxruntime`` with ``providers``, of which ``broken`` do not start.

    They are left out without an error, or with the error ``refusal``, after which the CPU is tried, unless the
    argument against that ``heeds``.

    ``takes`` is the provider that all nodes are given to; by default the first of a session. ``sessions`` are the
    (name, options) of the providers that each session was asked for.
    """
    import onnxruntime as real

    module = types.ModuleType("onnxruntime")
    module.__dict__.update(
        {name: getattr(real, name) for name in ("SessionOptions", "ExecutionMode", "GraphOptimizationLevel")}
    )
    module.__version__ = version
    module.sessions = []
    module.get_available_providers = lambda: list(providers)
    known = {**_KNOWN, CUDA: _KNOWN[CUDA] | ({"use_tf32"} if _release(version) >= (1, 18) else set())}

    def session(model, options, providers, enable_fallback=1):
        asked = [(each, {}) if isinstance(each, str) else each for each in providers]
        module.sessions.append(asked)
        for name, given in asked:
            for option, value in given.items():
                if option not in known[name] or not isinstance(value, str):
                    raise RuntimeError(f"Unknown provider option: {option!r} = {value!r}")
        made = real.InferenceSession(model, options, providers=[CPU])
        started = [name for name, _ in asked if name not in broken]
        if refusal is not None and len(started) < len(asked):
            if heeds and not enable_fallback:
                raise RuntimeError(refusal)
            started = [CPU]
        _keep_engine(dict(asked).get(TENSORRT, {}) if started[0] == TENSORRT else {})
        return _Session(made, started, takes or started[0])

    module.InferenceSession = session
    module.OrtValue = _OrtValue
    return module


def _release(version):
    return tuple(int(part) for part in version.split(".")[:2])


def _keep_engine(options):
    if options.get("trt_engine_cache_enable") == "True":
        Path(options["trt_engine_cache_path"], "TensorrtExecutionProvider_TRTKernel_1_sm72.engine").write_bytes(
            b"e" * 99
        )


class _Session:
    def __init__(self, real, providers, takes):
        self._real, self._providers, self._takes = real, providers, takes
        self._may_fall_back = True
        self.get_inputs, self.get_outputs = real.get_inputs, real.get_outputs

    def get_providers(self):
        return self._providers

    def disable_fallback(self):
        self._may_fall_back = False

    def run(self, outputs, feed):
        return self._real.run(outputs, feed)

    def io_binding(self):
        return _Binding()

    def run_with_iobinding(self, binding):
        if self._may_fall_back:
            raise Misuse("a failing run would be repeated on the CPU")
        outputs = self._real.run(list(binding.outputs), {name: each.array for name, each in binding.inputs.items()})
        for each, array in zip(binding.outputs.values(), outputs):
            each.fill(array)

    def end_profiling(self):
        path = self._real.end_profiling()
        events = json.loads(Path(path).read_text())
        for event in events:
            if event["cat"] == "Node":
                event["args"]["provider"] = self._takes
        Path(path).write_text(json.dumps(events))
        return path


class _Binding:
    def __init__(self):
        self.inputs, self.outputs = {}, {}

    def bind_ortvalue_input(self, name, value):
        self.inputs[name] = value

    def bind_ortvalue_output(self, name, value):
        self.outputs[name] = value


class _OrtValue:
    """A tensor on the GPU: a copy, as memory there is another."""

    def __init__(self, array):
        self.array = array

    @classmethod
    def ortvalue_from_numpy(cls, array, device_type="cpu", device_id=0):
        _check_device(device_type, device_id)
        return cls(array.copy())

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape, element_type, device_type="cpu", device_id=0):
        _check_device(device_type, device_id)
        return cls(np.full(shape, 77, element_type))

    def update_inplace(self, array):
        if not array.flags.c_contiguous:
            raise ValueError("only contiguous arrays")
        self.fill(array)

    def fill(self, array):
        if array.shape != self.array.shape or array.dtype != self.array.dtype:
            raise Misuse(f"{array.dtype} {array.shape} into a buffer for {self.array.dtype} {self.array.shape}")
        self.array[...] = array

    def numpy(self):
        return self.array.copy()


def _check_device(device_type, device_id):
    if (device_type, device_id) != ("cuda", 0):
        raise Misuse(f"a buffer on {device_type}:{device_id}")
