from __future__ import annotations

import ctypes
import json
from types import SimpleNamespace

import pytest

from gdws_agent.first_run.tools import cuda
from gdws_agent.first_run.tools.cuda import DriverRefused, driver_facts, tensorrt_facts
from support.fake_pycuda import Gpu
from support.fake_tensorrt import make_tensorrt

_ATTRIBUTES = {16: 8, 13: 1_377_000, 18: 1, 75: 7, 76: 2}


def library(flags=0x04, init=0):
    """The functions of libcuda.so.1 that are called, with the types of cuda.h."""
    integers = ctypes.POINTER(ctypes.c_int)

    def set_to(value):
        def function(found, *_):
            found[0] = value
            return 0

        return function

    def name(text, size, device):
        ctypes.memmove(text, b"Xavier\0", 7)
        return 0

    def attribute(found, which, device):
        found[0] = _ATTRIBUTES[which]
        return 0

    def state(device, found_flags, active):
        found_flags[0], active[0] = flags, 0
        return 0

    integer = ctypes.c_int
    functions = {
        "cuInit": (lambda flags: init, ctypes.c_uint),
        "cuDeviceGet": (set_to(0), integers, integer),
        "cuDriverGetVersion": (set_to(11_040), integers),
        "cuDeviceGetName": (name, ctypes.c_void_p, integer, integer),
        "cuDeviceTotalMem_v2": (set_to(32 * 2**30), ctypes.POINTER(ctypes.c_size_t), integer),
        "cuDeviceGetAttribute": (attribute, integers, integer, integer),
        "cuDevicePrimaryCtxGetState": (state, integer, ctypes.POINTER(ctypes.c_uint), integers),
    }
    made = {key: ctypes.CFUNCTYPE(integer, *types)(function) for key, (function, *types) in functions.items()}
    return lambda path: SimpleNamespace(**made)


def test_the_driver_tells_the_gpu_and_how_the_host_waits_for_it():
    assert driver_facts(library()) == {
        "gpu": "Xavier",
        "compute_capability": "7.2",
        "multiprocessors": 8,
        "gpu_clock_mhz": 1377.0,
        "gpu_memory_mib": 32_768,
        "shares_memory_with_cpu": True,
        "cuda_of_driver": "11.4",
        "scheduling_by_default": "blocking",
    }


@pytest.mark.parametrize(("flags", "words"), [(0, "auto"), (1, "spin"), (2, "yield"), (4, "blocking"), (0x09, "spin")])
def test_the_flags_of_the_primary_context_in_words(flags, words):
    assert driver_facts(library(flags))["scheduling_by_default"] == words


def test_a_driver_without_a_gpu_refuses():
    with pytest.raises(DriverRefused, match="cuInit answers 100"):
        driver_facts(library(init=100))


@pytest.mark.parametrize(("version", "int8"), [("8.5.2.2", True), ("10.3.0.30", True)])
def test_tensorrt_tells_the_accelerators(version, int8):
    gpu = Gpu()
    _, driver = gpu.module()
    driver.init()
    driver.Device(0).retain_primary_context().push()
    found = tensorrt_facts(lambda name: make_tensorrt(gpu, version, dla_cores=2))
    assert (found["tensorrt"], found["dla_cores"], found["fast_int8"]) == (version, 2, int8)


def test_what_is_missing_is_told_and_the_rest_is_there(monkeypatch, capsys):
    monkeypatch.setattr(cuda.ctypes, "CDLL", None)

    def driver():
        return {"gpu": "Xavier"}

    def tensorrt_facts():
        raise ImportError("no module named tensorrt")

    monkeypatch.setattr(cuda, "driver_facts", driver)
    monkeypatch.setattr(cuda, "tensorrt_facts", tensorrt_facts)
    assert cuda.main() == 0
    assert json.loads(capsys.readouterr().out) == {
        "gpu": "Xavier",
        "problems": ["tensorrt: no module named tensorrt"],
    }
