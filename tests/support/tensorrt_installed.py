"""Puts the stand-ins for TensorRT and pycuda where an installation would be."""

from __future__ import annotations

import sys

from gdws_agent.backends import tensorrt as backend_module
from support.fake_pycuda import Gpu
from support.fake_tensorrt import make_tensorrt


def install(monkeypatch, *, memory_bytes=2**28, version="8.5.2.2", lacking=()):
    """Make ``import tensorrt`` and ``import pycuda.driver`` find the stand-ins; return (tensorrt, gpu)."""
    gpu = Gpu(memory_bytes)
    trt = make_tensorrt(gpu, version, lacking)
    package, driver = gpu.module()
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    monkeypatch.setattr(backend_module, "find_gpu", lambda: "/dev/nvhost-gpu")
    return trt, gpu
