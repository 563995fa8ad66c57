"""Puts the stand-ins for TensorRT and pycuda where an installation would be."""

import sys

from gdws_agent.backends.cuda import driver as cuda_driver
from gdws_agent.backends.cuda import presence
from support.fake_pycuda import Gpu
from support.fake_tensorrt import make_tensorrt


def install(monkeypatch, *, memory_bytes=2**33, shared=False, multiprocessors=8, **options):
    """Make ``import tensorrt`` and ``import pycuda.driver`` find the stand-ins; return (tensorrt, gpu).

    ``shared``: GPU and CPU share their memory. ``options`` are those of ``make_tensorrt``.
    """
    gpu = Gpu(memory_bytes, shared, multiprocessors)
    trt = make_tensorrt(gpu, **options)
    package, driver = gpu.module()
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    monkeypatch.setattr(presence, "find_gpu", lambda: "/dev/nvhost-gpu")
    monkeypatch.setattr(cuda_driver, "load_driver", gpu.driver_library)
    return trt, gpu
