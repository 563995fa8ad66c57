import json

import pytest

from gdws_agent.backends.cuda import driver as cuda_driver
from gdws_agent.backends.cuda.driver import DriverFailed
from gdws_agent.first_run.tools import cuda
from gdws_agent.first_run.tools.cuda import driver_facts, tensorrt_facts
from support.fake_pycuda import Gpu
from support.fake_tensorrt import make_tensorrt


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu(memory_bytes=32 * 2**30)
    monkeypatch.setattr(cuda_driver, "load_driver", gpu.driver_library)
    return gpu


def test_the_driver_tells_the_gpu_and_how_the_host_waits_for_it(gpu):
    gpu.context_flags = 4
    assert driver_facts() == {
        "gpu": "Double",
        "compute_capability": "7.2",
        "multiprocessors": 8,
        "gpu_clock_mhz": 1377.0,
        "gpu_memory_mib": 32_768,
        "shares_memory_with_cpu": True,
        "cuda_of_driver": "11.4",
        "scheduling_by_default": "block",
    }
    assert gpu.context_flags == 4
    assert not gpu.retained


@pytest.mark.parametrize(
    ("flags", "words"), [(0, "auto"), (1, "spin"), (2, "yield"), (4, "block"), (0x09, "spin"), (3, "unknown")]
)
def test_the_flags_of_the_primary_context_in_words(gpu, flags, words):
    gpu.context_flags = flags
    assert driver_facts()["scheduling_by_default"] == words


def test_a_driver_without_a_gpu_refuses(gpu, monkeypatch):
    library = gpu.driver_library()
    library.cuInit = type(library.cuInit)(lambda flags: 100)
    monkeypatch.setattr(cuda_driver, "load_driver", lambda name: library)
    with pytest.raises(DriverFailed, match="cuInit failed: CUDA_ERROR_NO_DEVICE"):
        driver_facts()


def test_without_a_driver_its_library_is_named(monkeypatch):
    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda_driver, "load_driver", load)
    with pytest.raises(DriverFailed, match=r"libcuda\.so\.1: cannot open"):
        driver_facts()


@pytest.mark.parametrize(("version", "int8"), [("8.5.2.2", True), ("10.3.0.30", True)])
def test_tensorrt_tells_the_accelerators(version, int8):
    gpu = Gpu()
    _, driver = gpu.module()
    driver.init()
    driver.Device(0).retain_primary_context().push()
    found = tensorrt_facts(lambda name: make_tensorrt(gpu, version, dla_cores=2))
    assert (found["tensorrt"], found["dla_cores"], found["fast_int8"]) == (version, 2, int8)


def test_what_is_missing_is_told_and_the_rest_is_there(monkeypatch, capsys):
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
