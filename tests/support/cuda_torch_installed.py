"""Puts the stand-ins for a GPU, torch2trt and TensorRT where an installation would be."""

import sys

from gdws_agent.backends.cuda import presence
from gdws_agent.backends.torch import backend as pytorch
from gdws_agent.backends.torch2trt import backend as torch2trt
from support.fake_cuda_torch import CudaTorch
from support.fake_torch2trt import make_tensorrt, make_torch2trt


def install_cuda_torch(monkeypatch, capability=(7, 2)):
    """Make the backends find a torch with a GPU; return it."""
    torch = CudaTorch(capability)
    for module in (pytorch, torch2trt):
        monkeypatch.setattr(module, "load_torch", lambda: torch)
    for module in (pytorch, presence):
        monkeypatch.setattr(module, "find_gpu", lambda: "/dev/nvhost-gpu")
    return torch


def install_torch2trt(monkeypatch, capability=(7, 2), version="8.5.2.2", **options):
    """Make ``import torch2trt`` and ``import tensorrt`` find the stand-ins, too; return (torch, torch2trt)."""
    torch = install_cuda_torch(monkeypatch, capability)
    made = make_torch2trt(**options)
    monkeypatch.setitem(sys.modules, "torch2trt", made)
    monkeypatch.setitem(sys.modules, "tensorrt", make_tensorrt(version))
    return torch, made
