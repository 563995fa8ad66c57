from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gdws
from gdws.errors import CheckpointUnreadable, CheckpointUnsafe
from gdws.networks import zoo as nets
from gdws.networks.checkpoints import read_alphas


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alphas.pth"


def write(path: Path, gains: object) -> None:
    about = {"attack": "pgd", "attack-iters": 7, "epsilon": 8, "sample_size": 1000}
    torch.save({"noise_gains": gains, **about}, path)


def test_the_authors_form_goes_into_convert(path):
    model = nets.build("mnist-preact-resnet", width=4).eval()
    convs = {key: tensor for key, tensor in model.state_dict().items() if tensor.ndim == 4}
    write(path, {f"module.{key}": torch.rand(tensor.shape[1]) for key, tensor in convs.items()})
    found = read_alphas(path)
    assert set(found.alphas) == {key.removesuffix(".weight") for key in convs}
    assert found.about == {"attack": "pgd", "attack-iters": 7, "epsilon": 8, "sample_size": 1000}
    _, plan = gdws.convert(model, mean_rank=2, alphas=found.alphas, example_input=torch.rand(1, 1, 28, 28))
    assert plan.converted


def test_values_are_kept(path):
    write(path, {"module.layer1.0.conv1.weight": torch.tensor([0.0, 1.5])})
    np.testing.assert_array_equal(read_alphas(path).alphas["layer1.0.conv1"], [0.0, 1.5])


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        (None, "not a file of alphas"),
        ({}, "not a file of alphas"),
        ({"module.a.weight": torch.zeros(2, 2)}, r"module\.a\.weight is \(2, 2\)"),
        ({"module.a.weight": 3.0}, r"module\.a\.weight is float"),
        ({"module.a.weight": torch.tensor([-1.0])}, "negative or non-finite"),
        ({"module.a.weight": torch.tensor([float("nan")])}, "negative or non-finite"),
    ],
)
def test_invalid_content_is_refused(path, gains, message):
    write(path, gains)
    with pytest.raises(CheckpointUnreadable, match=message):
        read_alphas(path)


def test_missing_files_are_refused(path):
    with pytest.raises(CheckpointUnreadable, match="No such file"):
        read_alphas(path)
    path.write_bytes(b"text")
    with pytest.raises(CheckpointUnreadable):
        read_alphas(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(CheckpointUnreadable, match="not a file of alphas"):
        read_alphas(path)
    torch.save({"noise_gains": {"a": np.zeros(3)}}, path)
    with pytest.raises(CheckpointUnsafe):
        read_alphas(path)
