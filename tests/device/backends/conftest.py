"""Fixtures of the backends' tests."""

import pytest

from gdws_agent.backends.base import EngineSpec
from gdws_contract.engines import EngineOptions
from gdws_contract.manifest import OutputSpec, TensorSpec
from support.bundles import CLASSES, INPUT_SHAPE


@pytest.fixture
def spec(tmp_path):
    def make(precision="fp32", batch_size=2, batch_sizes=(), calibration=None, **options):
        return EngineSpec(
            precision=precision,
            batch_size=batch_size,
            input=TensorSpec(name="input", shape=list(INPUT_SHAPE)),
            outputs=(OutputSpec(name="logits", shape=[CLASSES]),),
            threads=1,
            cache_dir=tmp_path,
            options=EngineOptions(**options),
            batch_sizes=batch_sizes,
            calibration=calibration,
        )

    return make
