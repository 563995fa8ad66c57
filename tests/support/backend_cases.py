"""What the tests of the backends build and run, and how they look at it. Runs on Python 3.8."""

import numpy as np

from gdws_agent.backends.base import EngineSpec
from gdws_contract.engines import EngineOptions
from gdws_contract.manifest import OutputSpec, TensorSpec
from support.bundles import CLASSES, INPUT_SHAPE, tiny_parts


def spec_in(
    cache_dir,
    precision="fp32",
    batch_size=2,
    *,
    shape=INPUT_SHAPE,
    classes=CLASSES,
    dtype="float32",
    threads=1,
    batch_sizes=(),
    calibration=None,
    **options,
):
    """How to build :func:`model`; ``options`` are the engine's."""
    return EngineSpec(
        precision=precision,
        batch_size=batch_size,
        input=TensorSpec(name="input", shape=list(shape), dtype=dtype),
        outputs=(OutputSpec(name="logits", shape=[classes]),),
        threads=threads,
        cache_dir=cache_dir,
        options=EngineOptions(**options),
        batch_sizes=batch_sizes,
        calibration=calibration,
    )


def model(fault=None, variant="gdws", seed=0):
    faults = {variant: fault} if fault else {}
    return tiny_parts(seed=seed, faults=faults)[1][f"variants/{variant}/model.onnx"]


def images(batch_size=2, seed=0):
    return np.random.default_rng(seed).random((batch_size, *INPUT_SHAPE), np.float32)


def is_clean(gpu):
    """Whether nothing is left on the GPU but its primary context, retained once, which is current nowhere."""
    return not gpu.memory and not gpu.graphs and not gpu.stack and gpu.retained <= 1 and not gpu.faults


def told(engine, name):
    """What the build says of ``name``; an option that is not there is an error."""
    (value,) = [option.partition("=")[2] for option in engine.build.options if option.startswith(f"{name}=")]
    return value
