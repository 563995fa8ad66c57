from __future__ import annotations

import pytest
from torch import nn

import gdws
from gdws.networks import checkpoints
from gdws.training import TrainSettings, train
from gdws_contract.plan import Plan
from support.toy import DATA, SMALL_NET


@pytest.fixture(scope="package")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Plan]:
    """A trained toy network at mean rank 1, by the weights alone."""
    out = tmp_path_factory.mktemp("toy") / "w.safetensors"
    settings = TrainSettings(
        **SMALL_NET, epochs=12, batch_size=8, eps=0.1, iterations=2, validation_iterations=2, shift=1
    )
    train(settings, DATA, out)
    return gdws.convert(checkpoints.load(out), mean_rank=1, layout="stacked", example_input=(1, 8, 8))
