"""Puts the stand-in for ONNX Runtime on a GPU where an installation would be."""

from gdws_agent.backends.onnxruntime import gpu as onnxruntime_gpu
from support.fake_onnxruntime import make_onnxruntime


def install(monkeypatch, **options):
    """Have the GPU backends find the stand-in, and a GPU; return the module."""
    made = make_onnxruntime(**options)
    monkeypatch.setattr(onnxruntime_gpu, "load_runtime", lambda hint: made)
    monkeypatch.setattr(onnxruntime_gpu, "find_gpu", lambda: "/dev/nvhost-gpu")
    monkeypatch.setattr(onnxruntime_gpu, "has_file", lambda module, path: True)
    return made
