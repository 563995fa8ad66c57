"""The double of TensorRT has the names and parameters of the real package, and it forgives nothing."""

from __future__ import annotations

import ast
import enum
import importlib.util
import inspect
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from support.bundles import tiny_parts
from support.fake_pycuda import Gpu, LogicError
from support.fake_tensorrt import Misuse, make_tensorrt


def stub_path():
    """Return the stubs of TensorRT's bindings, which the package tensorrt-stubs brings."""
    spec = importlib.util.find_spec("tensorrt_bindings")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return next((Path(folder, "tensorrt.pyi") for folder in folders if Path(folder, "tensorrt.pyi").exists()), None)


@pytest.fixture(scope="module")
def stubs():
    """Class name -> its text in the stubs."""
    path = stub_path()
    if path is None:
        pytest.skip("tensorrt-stubs is not installed: the double cannot be compared with the real API")
    texts = re.split(r"^(?=class )", path.read_text(), flags=re.MULTILINE)[1:]
    return {re.match(r"class (\w+)", text)[1]: text for text in texts}


def definition(text):
    """Return the class that ``text`` begins with; without defaults, of which the stubs have some in wrong places."""
    lines = itertools.takewhile(lambda line: not re.match(r"(def|@)", line), text.splitlines())
    plain = [re.sub(r" = [^,)]+(?=[,)])", "", line) if line.lstrip().startswith("def ") else line for line in lines]
    return ast.parse("\n".join(plain)).body[0]


def doubles():
    module = make_tensorrt(Gpu())
    return {name: kind for name, kind in vars(module).items() if isinstance(kind, type)}


@pytest.mark.parametrize("name", doubles())
def test_names_and_parameters_are_the_real_ones(stubs, name):
    kind, stub = doubles()[name], definition(stubs[name])
    real = [node for node in stub.body if isinstance(node, ast.FunctionDef)]
    fields = {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    fields |= {node.name for node in [*real, *stub.body] if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    if issubclass(kind, enum.Enum):
        assert {member.name for member in kind} <= fields
        return
    for member, value in vars(kind).items():
        if member.startswith("_"):
            continue
        assert member in fields, f"{name} has no {member}"
        if inspect.isfunction(value):
            found = list(inspect.signature(value).parameters)
            allowed = [[argument.arg for argument in node.args.args] for node in real if node.name == member]
            assert any(each[: len(found)] == found for each in allowed), f"{name}.{member} takes {allowed}"


@pytest.fixture
def parts():
    """(tensorrt, gpu, driver, an execution context of an engine with a batch of 2)."""
    pytest.importorskip("onnxruntime", reason="the double runs on onnxruntime")
    gpu = Gpu()
    trt = make_tensorrt(gpu)
    driver = gpu.module()[1]
    driver.init()
    driver.Device(0).retain_primary_context().push()

    class Quiet(trt.ILogger):
        def log(self, severity, msg):
            pass

    logger = Quiet()
    builder = trt.Builder(logger)
    network = builder.create_network(1)
    assert trt.OnnxParser(network, logger).parse(tiny_parts()[1]["variants/dense/model.onnx"])
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("input", *[(2, 2, 8, 8)] * 3)
    config.add_optimization_profile(profile)
    engine = trt.Runtime(logger).deserialize_cuda_engine(bytes(builder.build_serialized_network(network, config)))
    return trt, gpu, driver, engine.create_execution_context()


class TestStrictness:
    def test_a_shape_outside_the_profile(self, parts):
        assert not parts[3].set_input_shape("input", (3, 2, 8, 8))

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

    def test_a_logger_that_was_not_initialised(self, parts):
        trt = parts[0]

        class Logger(trt.ILogger):
            def __init__(self):
                pass

        with pytest.raises(Misuse, match="base class"):
            trt.Builder(Logger())

    def test_a_network_without_an_explicit_batch(self, parts):
        trt = parts[0]

        class Logger(trt.ILogger):
            def log(self, severity, msg):
                pass

        with pytest.raises(Misuse, match="explicit batch"):
            trt.Builder(Logger()).create_network()
