"""What the CUDA driver tells of a GPU, over functions that are called as those of the driver are."""

import pytest

from gdws_agent.backends.cuda import driver as cuda_driver
from gdws_agent.backends.cuda.device import multiprocessor_count, spin_while_waiting
from support.fake_pycuda import Gpu


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu(multiprocessors=4)
    monkeypatch.setattr(cuda_driver, "load_driver", gpu.driver_library)
    return gpu


def test_the_units_that_are_on(gpu):
    assert multiprocessor_count() == 4


def test_the_cpu_spins_and_other_flags_stay(gpu):
    gpu.context_flags = 0x08 | 4
    assert spin_while_waiting() == "cuda_wait=spin"
    assert gpu.context_flags == 0x08 | 1


@pytest.mark.parametrize(("flags", "word"), [(0, "auto"), (1, "spin"), (2, "yield"), (4, "block"), (3, "unknown")])
def test_a_context_that_is_in_use_is_told_as_it_is(gpu, flags, word):
    gpu.context_flags, gpu.retained = flags, 1
    assert spin_while_waiting() == f"cuda_wait={word}"
    assert gpu.context_flags == flags


def test_a_driver_that_refuses(gpu, monkeypatch):
    library = gpu.driver_library()
    kind = type(library.cuDevicePrimaryCtxSetFlags_v2)
    library.cuDevicePrimaryCtxSetFlags_v2 = kind(lambda device, flags: 1)
    monkeypatch.setattr(cuda_driver, "load_driver", lambda name: library)
    words = "cuda_wait=not known, cuDevicePrimaryCtxSetFlags_v2 failed: CUDA_ERROR_INVALID_VALUE"
    assert spin_while_waiting() == words


def test_without_a_driver_nothing_is_known(monkeypatch):
    def load(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda_driver, "load_driver", load)
    assert multiprocessor_count() is None
    assert spin_while_waiting().startswith("cuda_wait=not known, the CUDA driver has no device functions: libcuda.so.1")
