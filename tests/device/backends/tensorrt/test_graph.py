"""CUDA graphs, over functions that are called as those of the driver are."""

import ctypes
from types import SimpleNamespace

import pytest

from gdws_agent.backends.cuda import driver as module
from gdws_agent.backends.cuda.driver import DriverFailed
from gdws_agent.backends.tensorrt.graph import capture
from support.fake_pycuda import Gpu


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu()
    monkeypatch.setattr(module, "load_driver", gpu.driver_library)
    return gpu


@pytest.fixture
def stream(gpu):
    driver = gpu.module()[1]
    driver.init()
    driver.Device(0).retain_primary_context().push()
    return driver.Stream()


def test_what_is_captured_runs_with_each_launch_and_not_before(gpu, stream):
    done = []
    graph = capture(stream.handle, lambda: stream.enqueue(lambda: done.append(1)))
    stream.synchronize()
    assert done == []
    graph.launch()
    graph.launch()
    stream.synchronize()
    assert done == [1, 1]
    graph.free()
    assert not gpu.graphs


def test_a_freed_graph_is_refused_with_the_drivers_word(stream):
    graph = capture(stream.handle, lambda: None)
    graph.free()
    with pytest.raises(DriverFailed, match="cuGraphLaunch failed: CUDA_ERROR_INVALID_VALUE"):
        graph.launch()


def test_work_that_fails_ends_the_capture(gpu, stream):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        capture(stream.handle, fail)
    assert not gpu.graphs
    stream.synchronize()


def test_work_that_would_wait_cannot_be_captured(gpu, stream):
    with pytest.raises(Exception, match="not permitted when stream is capturing"):
        capture(stream.handle, stream.synchronize)
    assert not gpu.graphs


def test_a_capture_within_a_capture(gpu, stream):
    with pytest.raises(DriverFailed, match="cuStreamBeginCapture_v2 failed"):
        capture(stream.handle, lambda: capture(stream.handle, lambda: None))
    assert not gpu.graphs


def test_a_graph_that_cannot_be_made_executable_is_freed(gpu, stream, monkeypatch):
    library = gpu.driver_library()
    monkeypatch.setattr(module, "load_driver", lambda name: library)
    prototype = type(library.cuGraphInstantiateWithFlags)
    library.cuGraphInstantiateWithFlags = prototype(lambda executable, graph, flags: 999)
    with pytest.raises(DriverFailed, match="CUDA error 999"):
        capture(stream.handle, lambda: None)
    assert not gpu.graphs


def test_a_driver_without_graphs(stream, monkeypatch):
    monkeypatch.setattr(module, "load_driver", lambda name: object())
    with pytest.raises(DriverFailed, match="the CUDA driver has no graphs"):
        capture(stream.handle, lambda: None)


def test_no_driver_at_all(stream, monkeypatch):
    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(module, "load_driver", load)
    with pytest.raises(DriverFailed, match=r"libcuda\.so\.1: cannot open"):
        capture(stream.handle, lambda: None)


class _Function:
    """Refuses to be called before its types are set: ``ctypes`` would cut pointers to 32 bits."""

    argtypes = restype = None

    def __init__(self, function):
        self._function = function

    def __call__(self, *arguments):
        assert self.restype is ctypes.c_int
        assert len(arguments) == len(self.argtypes)
        return self._function(*arguments)


def test_every_function_has_its_types_before_it_is_called(gpu, stream, monkeypatch):
    functions = {name: _Function(function) for name, function in vars(gpu.driver_library()).items()}
    monkeypatch.setattr(module, "load_driver", lambda name: SimpleNamespace(**functions))
    graph = capture(stream.handle, lambda: None)
    graph.launch()
    graph.free()
    used = {name: function for name, function in vars(gpu.driver_library()).items() if functions[name].argtypes}
    assert len(used) == 7
    for name, function in used.items():
        expected = [ctypes.sizeof(kind) for kind in function.argtypes]
        assert [ctypes.sizeof(kind) for kind in functions[name].argtypes] == expected, name
