"""A stand-in for torch2trt that fails as torch2trt does, and runs on the CPU.

As in torch2trt, functions of torch are replaced while the module runs, each call of one becomes a layer, and a
tensor that came from anywhere else is taken for a constant: an engine that is wrong without a word. Through ONNX
it exports as torch2trt does and runs the file with ONNX Runtime.
"""

import importlib
import io
import json
import types
import weakref
from importlib.machinery import ModuleSpec

#: What torch2trt 0.5 has real converters for, of what the networks of this project call.
REAL = (
    "torch.add",
    "torch.cat",
    "torch.mean",
    "torch.nn.functional.adaptive_avg_pool2d",
    "torch.nn.functional.avg_pool2d",
    "torch.nn.functional.batch_norm",
    "torch.nn.functional.conv2d",
    "torch.nn.functional.linear",
    "torch.nn.functional.max_pool2d",
    "torch.nn.functional.relu",
    "torch.Tensor.flatten",
)
#: Of these it only prints a warning.
WARNED = ("torch.index_select", "torch.sin")


class IProfiler:
    def __init__(self):
        self.ready = True

    def report_layer_time(self, layer_name, ms):
        raise AssertionError("a profiler must say what becomes of a time")


def make_tensorrt(version="8.5.2.2"):
    """The part of ``tensorrt`` that goes with it."""
    module = types.ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    module.__version__ = version
    module.IProfiler = IProfiler
    module.DeviceType = types.SimpleNamespace(GPU="GPU", DLA="DLA")
    module.ProfilingVerbosity = types.SimpleNamespace(NONE="NONE", DETAILED="DETAILED")
    module.LayerInformationFormat = types.SimpleNamespace(JSON="JSON")
    module.IBuilderConfig = type("IBuilderConfig", (), {})
    if int(version.split(".")[0]) < 10:
        module.IBuilderConfig.max_workspace_size = 0
    return module


def make_torch2trt(*, real=REAL, graphsurgeon=True, refuses=False, distorted=0.0, kind=None):
    """The module ``torch2trt``.

    ``real`` are the functions that it converts; ``refuses`` has TensorRT build no engine; ``distorted`` is added to
    every output of an engine; ``kind`` is the type that its layers compute in, where it was built to tell. ``calls``
    are the arguments of each conversion.
    """
    module = types.ModuleType("torch2trt")
    module.__spec__ = ModuleSpec("torch2trt", None)
    module.CONVERTERS = {
        **{name: {"is_real": True} for name in real},
        **{name: {"is_real": False} for name in WARNED},
    }
    module.calls = []

    def torch2trt(
        module_in,
        inputs,
        input_names=None,
        output_names=None,
        fp16_mode=False,
        max_workspace_size=1 << 25,
        keep_network=True,
        int8_mode=False,
        int8_calib_dataset=None,
        use_onnx=False,
        default_device_type="GPU",
        dla_core=0,
        gpu_fallback=True,
    ):
        module.calls.append(dict(locals()))
        assert isinstance(inputs, list)
        if int8_mode:
            assert all(item[0].shape == inputs[0].shape for item in int8_calib_dataset)
        layers = (
            _exported(module_in, inputs, input_names, graphsurgeon) if use_onnx else _traced(module_in, inputs, real)
        )
        return _TrtModule(None if refuses else _Engine(layers, distorted, kind), output_names)

    module.torch2trt = torch2trt
    return module


class _TrtModule:
    def __init__(self, engine, output_names):
        self.engine = engine
        self.output_names = output_names
        self.context = None if engine is None else engine.create_execution_context()

    def __call__(self, images):
        return self.context.execute(images)


class _Engine:
    """As TensorRT's before 10: its only optimization profile is that of the first of the contexts that are alive."""

    def __init__(self, layers, distorted, kind=None):
        self.layers = layers
        self.distorted = distorted
        self.kind = kind
        self.contexts = weakref.WeakSet()
        self.annotated = 0  # runs that were slowed by annotating each layer

    def serialize(self):
        return types.SimpleNamespace(nbytes=1000 + len(self.layers))

    def create_execution_context(self):
        return _Context(self)

    def create_engine_inspector(self):
        return _Inspector(self)


class _Inspector:
    def __init__(self, engine):
        self._engine = engine
        self.execution_context = None

    def get_engine_information(self, format):
        assert format == "JSON"
        if self._engine.kind is None:
            return json.dumps({"Layers": [layer.name for layer in self._engine.layers]})
        known = self.execution_context is not None and self.execution_context.has_run
        kind = self._engine.kind if known else "N/A due to dynamic shapes"
        return json.dumps(
            {
                "Layers": [
                    {"Name": layer.name, "Inputs": [{"Format/Datatype": kind}], "Weights": {"Count": 8}}
                    for layer in self._engine.layers
                ]
            }
        )


class _Context:
    def __init__(self, engine):
        self._engine = engine
        self._has_profile = not engine.contexts
        engine.contexts.add(self)
        self.profiler = None
        self.nvtx_verbosity = "DETAILED"
        self.has_run = False

    def execute(self, images):
        if not self._has_profile:
            raise RuntimeError("No optimization profile has been set: another context uses the only one")
        self._engine.annotated += self.has_run and self.nvtx_verbosity == "DETAILED"
        self.has_run = True
        values = {0: images}
        for number, layer in enumerate(self._engine.layers, start=1):
            values[number] = layer.run(values)
            if self.profiler is not None:
                assert self.profiler.ready
                self.profiler.report_layer_time(layer.name, 0.25 * number)
        found = values[len(self._engine.layers)]
        if isinstance(found, tuple):
            return tuple(each + self._engine.distorted if each.is_floating_point() else each for each in found)
        return found + self._engine.distorted


class _Layer:
    """A call: its function, and its arguments, with those that are a layer's output by that layer's number."""

    def __init__(self, name, function, args, kwargs):
        self.name, self._function, self._args, self._kwargs = name, function, args, kwargs

    def run(self, values):
        def filled(argument):
            if isinstance(argument, _Output):
                return values[argument.number]
            return [filled(each) for each in argument] if isinstance(argument, list) else argument

        return self._function(*[filled(each) for each in self._args], **self._kwargs)


class _Output:
    def __init__(self, number):
        self.number = number


def _traced(module, inputs, real):
    """The layers of a run in which the functions ``real`` are replaced."""
    import torch

    layers, names, busy = [], [], []
    (images,) = (each.clone() for each in inputs)
    images._trt = 0
    handles = []
    for name, child in module.named_modules():
        handles.append(child.register_forward_pre_hook(lambda *_, name=name: names.append(name)))
        handles.append(child.register_forward_hook(lambda *_: leave(names)))

    def seen(argument):
        if isinstance(argument, torch.Tensor):
            return _Output(argument._trt) if hasattr(argument, "_trt") else argument.detach().clone()
        return [seen(each) for each in argument] if isinstance(argument, list) else argument

    def wrapped(function, qualified):
        def call(*args, **kwargs):
            if busy:  # another converter works on it
                return function(*args, **kwargs)
            busy.append(qualified)
            try:
                output = function(*args, **kwargs)
            finally:
                busy.pop()
            kind = qualified.rsplit(".", 1)[1].upper()
            layers.append(_Layer(f"{names[-1]}:{kind}", function, [seen(each) for each in args], kwargs))
            output._trt = len(layers)
            return output

        return call

    replaced = []
    try:
        for qualified in real:
            holder, name = _holder(qualified)
            function = getattr(holder, name)
            replaced.append((holder, name, function))
            setattr(holder, name, wrapped(function, qualified))
        output = module(images)
    finally:
        for holder, name, function in replaced:
            setattr(holder, name, function)
        for handle in handles:
            handle.remove()
    # Fails with AttributeError as torch2trt does, where it saw nothing.
    if isinstance(output, torch.Tensor):
        assert output._trt == len(layers)
        return layers
    return [*layers, _Layer("outputs", lambda *found: found, [_Output(each._trt) for each in output], {})]


def leave(names):
    """Forget the last of ``names``; what a hook returns takes the place of the module's output."""
    names.pop()


def _holder(qualified):
    path, name = qualified.rsplit(".", 1)
    if path == "torch.Tensor":
        import torch

        return torch.Tensor, name
    return importlib.import_module(path), name


def _exported(module, inputs, input_names, graphsurgeon):
    """One layer, which is the whole file."""
    import onnxruntime
    import torch

    if not graphsurgeon:
        raise ModuleNotFoundError("No module named 'onnx_graphsurgeon'")
    file = io.BytesIO()
    torch.onnx.export(module, tuple(inputs), file, input_names=input_names, dynamo=False)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])

    def run(images):
        found = tuple(map(torch.from_numpy, session.run(None, {input_names[0]: images.numpy()})))
        return found if len(found) > 1 else found[0]

    return [_Layer("the whole file", run, [_Output(0)], {})]
