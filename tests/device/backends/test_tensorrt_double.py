"""The double of TensorRT has the names and parameters of the real package, and it forgives nothing."""

import ast
import enum
import inspect
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from support import real_builder, tensorrt_stubs
from support.bundles import tiny_parts
from support.fake_pycuda import Gpu, LogicError
from support.fake_tensorrt import Misuse, make_tensorrt

#: Between them they have every name of the double.
RELEASES = ("8.5.2.2", "10.13.0", "11.0.0")


@pytest.fixture(scope="module")
def stubs():
    """Class name -> its text in the stubs of TensorRT 10.13."""
    path = tensorrt_stubs.bindings()
    if path is None:
        pytest.skip("TensorRT's stubs are not at hand: tests/check_tensorrt_types.py fetches them")
    texts = re.split(r"^(?=class )", path.read_text(), flags=re.MULTILINE)[1:]
    return {re.match(r"class (\w+)", text)[1]: text for text in texts}


def definition(stubs, name):
    """Return the class ``name`` of the stubs and those that it is derived from."""
    lines = itertools.takewhile(lambda line: not re.match(r"(def|@)", line), stubs[name].splitlines())
    node = ast.parse("\n".join(lines)).body[0]
    bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in stubs]
    return [node, *itertools.chain.from_iterable(definition(stubs, base) for base in bases)]


def doubles(version):
    module = make_tensorrt(Gpu(), version)
    return {name: kind for name, kind in vars(module).items() if isinstance(kind, type)}


def members(kind):
    """Return the public members of a class of the double: its own, its bases' here, and its attributes."""
    bases = [base for base in kind.__mro__ if base.__module__ == kind.__module__]
    names = {name for base in bases for name in vars(base) if not name.startswith("_")}
    return names | set(getattr(kind, "_attributes", ()))


def parameters(kind, name):
    value = getattr(kind, name, None)
    return list(inspect.signature(value).parameters) if inspect.isfunction(value) else None


@pytest.mark.parametrize("name", sorted({*doubles("8.5.2.2"), *doubles("10.13.0")}))
def test_names_and_parameters_are_those_of_tensorrt_10(stubs, name):
    kind = {**doubles("8.5.2.2"), **doubles("10.13.0")}[name]
    body = [node for found in definition(stubs, name) for node in found.body]
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    fields = {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
    fields |= {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    if issubclass(kind, enum.Enum):
        assert {member.name for member in kind} <= fields
        return
    for member in members(kind):
        assert member in fields, f"{name} has no {member}"
        found = parameters(kind, member)
        if found is not None:
            allowed = [[argument.arg for argument in node.args.args] for node in functions if node.name == member]
            assert any(each[: len(found)] == found for each in allowed), f"{name}.{member} takes {allowed}"


#: Tells of each class its members, and of each function the parameters of its overloads, from its signatures.
_DESCRIBE = """
import json, re, sys
import tensorrt_rtx_bindings as trt

def overloads(function):
    text = function.__doc__ or ""
    found = re.findall(r"^(?:[0-9]+[.] )?" + function.__name__ + r"[(](.*)[)] -> ", text, flags=re.MULTILINE)
    return [re.findall(r"(?:^|, )([A-Za-z_0-9]+): ", parameters) for parameters in found]

found = {}
for name in json.load(sys.stdin):
    kind = getattr(trt, name, None)
    if kind is not None:
        members = [member for member in dir(kind) if not member.startswith("_")]
        found[name] = {
            member: overloads(getattr(kind, member)) if callable(getattr(kind, member)) else None for member in members
        }
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def real():
    """Class name -> member -> the parameters of its overloads, as TensorRT-RTX itself tells them."""
    if not real_builder.is_installed():
        pytest.skip(real_builder.ABSENT)
    done = subprocess.run(
        [sys.executable, "-c", _DESCRIBE],
        input=json.dumps(list(doubles("11.0.0"))),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", doubles("11.0.0"))
def test_names_and_parameters_are_those_of_a_release_that_runs_here(real, name):
    kind = doubles("11.0.0")[name]
    if name == "NetworkDefinitionCreationFlag" or name == "_NoCreationFlag":
        assert "EXPLICIT_BATCH" not in real["NetworkDefinitionCreationFlag"]
        return
    if issubclass(kind, enum.Enum):
        assert {member.name for member in kind} <= set(real[kind.__name__.replace("StronglyTyped", "")])
        return
    for member in members(kind):
        assert member in real[name], f"{name} has no {member}"
        found = parameters(kind, member)
        overloads = real[name][member]
        if found is not None and overloads:
            assert any(each[: len(found)] == found for each in overloads), f"{name}.{member} takes {overloads}"


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("    def plain(self, a: int) -> bool:", "    def plain(self, a: int) -> bool:"),
        ("    def f(self, a: K = <K.A: 1>, b: int) -> None:", "    def f(self, a: K = ..., b: int = ...) -> None:"),
        ("    def f(self, in: list[A], out: dict[str, A]):", "    def f(self, in_: list[A], out: dict[str, A]):"),
        ("    def f(self, a: int = 3, *args, **kwargs) -> A:", "    def f(self, a: int = ..., *args, **kwargs) -> A:"),
    ],
)
def test_stubs_that_are_no_python_are_mended(line, mended):
    assert tensorrt_stubs.mended(line) == mended
    ast.parse(f"class A:\n{mended} ...")


@pytest.mark.parametrize("version", RELEASES)
def test_what_a_release_lacks_its_double_lacks(version):
    trt = make_tensorrt(Gpu(), version)
    major = int(version.split(".")[0])
    assert hasattr(trt, "IProgressMonitor") == hasattr(trt.IBuilderConfig, "progress_monitor") == (major >= 10)
    assert hasattr(trt.BuilderFlag, "INT8") == hasattr(trt, "IInt8EntropyCalibrator2") == (major < 11)
    assert hasattr(trt.IBuilderConfig, "builder_optimization_level") == (major >= 10)


@pytest.fixture
def parts():
    """(tensorrt, gpu, driver, an execution context of an engine with a batch of 2)."""
    pytest.importorskip("onnxruntime", reason="the double runs on onnxruntime")
    gpu = Gpu()
    trt = make_tensorrt(gpu)
    driver = gpu.module()[1]
    driver.init()
    gpu.held = driver.Device(0).retain_primary_context()  # pycuda pushes one that it forgets
    gpu.held.push()
    return trt, gpu, driver, build(trt).create_execution_context()


def quiet(trt):
    """A logger that says nothing."""
    return type("Quiet", (trt.ILogger,), {"log": lambda self, severity, msg: None})()


def build(trt, verbosity=0):
    """An engine with a batch of 2."""

    logger = quiet(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1)
    assert trt.OnnxParser(network, logger).parse(tiny_parts()[1]["variants/dense/model.onnx"])
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("input", *[(2, 2, 8, 8)] * 3)
    config.add_optimization_profile(profile)
    config.profiling_verbosity = trt.ProfilingVerbosity(verbosity)
    return trt.Runtime(logger).deserialize_cuda_engine(bytes(builder.build_serialized_network(network, config)))


@pytest.fixture
def trt():
    """TensorRT with a GPU whose context is current, and nothing made yet."""
    gpu = Gpu()
    gpu.stack.append("a context")
    return make_tensorrt(gpu)


class TestStrictness:
    def test_a_shape_outside_the_profile(self, parts):
        assert not parts[3].set_input_shape("input", (3, 2, 8, 8))

    @pytest.mark.parametrize(("version", "works"), [("8.5.2.2", False), ("8.6.2", False), ("10.3.0", True)])
    def test_a_second_context_while_the_first_has_the_only_profile(self, version, works):
        gpu = Gpu()
        gpu.stack.append("a context")
        engine = build(make_tensorrt(gpu, version))
        first, second = engine.create_execution_context(), engine.create_execution_context()
        assert first.set_input_shape("input", (2, 2, 8, 8))
        assert second.set_input_shape("input", (2, 2, 8, 8)) is works
        del first, second
        assert engine.create_execution_context().set_input_shape("input", (2, 2, 8, 8))

    def test_types_of_layers_before_the_shapes_are_set(self, trt):
        engine = build(trt, trt.ProfilingVerbosity.DETAILED)
        inspector, context = engine.create_engine_inspector(), engine.create_execution_context()

        def types():
            layers = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]
            return {layer["Inputs"][0]["Format/Datatype"] for layer in layers}

        assert types() == {"N/A due to dynamic shapes"}
        inspector.execution_context = context
        assert types() == {"N/A due to dynamic shapes"}
        context.set_input_shape("input", (2, 2, 8, 8))
        assert types() == {"Row major linear FP32"}

    def test_a_context_annotates_layers_as_the_engine_was_built(self, trt):
        for verbosity in (trt.ProfilingVerbosity.LAYER_NAMES_ONLY, trt.ProfilingVerbosity.DETAILED):
            assert build(trt, verbosity).create_execution_context().nvtx_verbosity == verbosity

    def test_addresses_that_are_not_set(self, parts):
        _, _, driver, context = parts
        context.set_input_shape("input", (2, 2, 8, 8))
        assert not context.execute_async_v3(driver.Stream().handle)

    def test_a_buffer_that_was_freed(self, parts):
        _, _, driver, context = parts
        context.set_input_shape("input", (2, 2, 8, 8))
        memory = [driver.mem_alloc(2 * 2 * 8 * 8 * 4), driver.mem_alloc(2 * 4 * 4)]
        context.set_tensor_address("input", int(memory[0]))
        context.set_tensor_address("logits", int(memory[1]))
        stream = driver.Stream()
        assert context.execute_async_v3(stream.handle)
        stream.synchronize()
        memory[0].free()
        with pytest.raises(LogicError, match="not allocated"):
            context.execute_async_v3(stream.handle)
        with pytest.raises(LogicError, match="freed twice"):
            memory[0].free()

    def test_a_buffer_that_is_too_small(self, parts):
        _, _, driver, context = parts
        context.set_input_shape("input", (2, 2, 8, 8))
        context.set_tensor_address("input", int(driver.mem_alloc(8)))
        context.set_tensor_address("logits", int(driver.mem_alloc(32)))
        with pytest.raises(LogicError, match="do not fit"):
            context.execute_async_v3(driver.Stream().handle)

    def test_without_a_current_context(self, parts):
        _, _, driver, _ = parts
        driver.Context.pop()
        for call in (driver.Stream, driver.Event, lambda: driver.mem_alloc(1), driver.Context.pop):
            with pytest.raises(LogicError, match="invalid device context"):
                call()

    def test_results_read_before_the_stream_is_synchronised_are_stale(self, parts):
        driver = parts[2]
        stream, memory = driver.Stream(), driver.mem_alloc(4)
        sent, received = driver.pagelocked_empty(1, np.float32), driver.pagelocked_empty(1, np.float32)
        sent[:] = 7
        driver.memcpy_htod_async(memory, sent, stream)
        driver.memcpy_dtoh_async(received, memory, stream)
        assert received[0] != 7
        stream.synchronize()
        assert received[0] == 7

    def test_memory_that_is_not_page_locked(self, parts):
        driver = parts[2]
        with pytest.raises(LogicError, match="not page-locked"):
            driver.memcpy_htod_async(driver.mem_alloc(4), np.zeros(1, np.float32), driver.Stream())

    def test_an_event_that_has_not_happened(self, parts):
        driver = parts[2]
        stream, first, second = driver.Stream(), driver.Event(), driver.Event()
        first.record(stream)
        second.record(stream)
        with pytest.raises(LogicError, match="not ready"):
            first.time_till(second)

    def test_a_logger_that_was_not_initialised(self, trt):
        class Logger(trt.ILogger):
            def __init__(self):
                pass

        with pytest.raises(Misuse, match="base class"):
            trt.Builder(Logger())

    def test_a_second_logger_while_the_first_is_in_use(self, parts):
        with pytest.raises(Misuse, match="second logger"):
            parts[0].Runtime(quiet(parts[0]))

    def test_an_attribute_that_there_is_not(self, parts):
        trt, _, _, context = parts
        with pytest.raises(AttributeError, match="progress_monitor"):
            trt.IBuilderConfig().progress_monitor = None
        with pytest.raises(AttributeError, match="profilers"):
            context.profilers = None

    def test_an_execution_context_that_outlives_the_gpus_context(self, monkeypatch):
        gpu = Gpu()
        trt, driver = make_tensorrt(gpu), gpu.module()[1]
        driver.init()
        held = driver.Device(0).retain_primary_context()
        held.push()
        context = build(trt).create_execution_context()
        driver.Context.pop()
        del context
        assert gpu.faults == ["an execution context was freed without a current context"]

    def test_a_first_inference_within_a_capture(self, parts):
        _, gpu, driver, context = parts
        context.set_input_shape("input", (2, 2, 8, 8))
        memory = [driver.mem_alloc(2 * 2 * 8 * 8 * 4), driver.mem_alloc(2 * 4 * 4)]
        for name, place in zip(("input", "logits"), memory):
            context.set_tensor_address(name, int(place))
        stream, library = driver.Stream(), gpu.driver_library()
        assert library.cuStreamBeginCapture_v2(stream.handle, 1) == 0
        assert not context.execute_async_v3(stream.handle)

    def test_a_network_without_an_explicit_batch(self, trt):
        with pytest.raises(Misuse, match="explicit batch"):
            trt.Builder(quiet(trt)).create_network()
