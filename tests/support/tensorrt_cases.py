"""What the tests of the TensorRT backend build and run, and how they look at it."""

import numpy as np

from support.bundles import INPUT_SHAPE, tiny_parts


def model(seed=0):
    return tiny_parts(seed=seed)[1]["variants/gdws/model.onnx"]


def images(batch_size=2, seed=0):
    return np.random.default_rng(seed).random((batch_size, *INPUT_SHAPE), np.float32)


def is_clean(gpu):
    """Whether nothing is left on the GPU but its primary context, retained once, which is current nowhere."""
    return not gpu.memory and not gpu.graphs and not gpu.stack and gpu.retained <= 1 and not gpu.faults


def told(engine, name):
    """What the build says of ``name``; an option that is not there is an error."""
    (value,) = [option.partition("=")[2] for option in engine.build.options if option.startswith(f"{name}=")]
    return value
