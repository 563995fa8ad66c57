"""Checkpoints of other projects, alphas in files and data sets on disk, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from gdws.datasets import Dataset, Split
from gdws.networks import zoo as nets
from gdws_contract.archive import open_bundle
from support.command import gdws

NET = "mnist-preact-resnet"


def weights(**options: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return nets.build(NET, width=2, **options).state_dict()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.pth"


def evaluate(path: Path, *more: object) -> Result:
    return gdws("evaluate", path, "--net", NET, "--attack", "none", "--images", 8, "--quiet", *more)


def test_net_options_build_the_network(path):
    torch.save(weights(), path)
    assert "--net-option" not in evaluate(path, "--net-option", "width=2").output
    assert evaluate(path, "--net-option", "width=2").exit_code == 0
    assert evaluate(path).exit_code == 2
    malformed = evaluate(path, "--net-option", "width")
    assert malformed.exit_code == 2
    assert "NAME=VALUE" in malformed.stderr


def test_masks_are_applied_and_told(path):
    state = weights()
    scores = {f"{key.removesuffix('weight')}popup_scores": value for key, value in state.items() if value.ndim == 4}
    torch.save({"arch": "x", "best_prec1": 1.0, "state_dict": state | scores}, path)
    found = evaluate(path, "--net-option", "width=2", "--kept", 0.25)
    assert found.exit_code == 0
    assert "0.25 of the weights of each are kept" in found.stderr.replace("\n", " ")
    assert "--kept" in evaluate(path, "--net-option", "width=2").stderr


def test_the_bundle_tells_family_and_normalisation(path, tmp_path):
    state = {f"module.{key}": tensor for key, tensor in weights(in_channels=3).items()}
    torch.save({"state_dict": state, "test_robust_acc": 0.5}, path)
    out = tmp_path / "model.gdws"
    options = (
        "--net-option",
        "width=2",
        "--net-option",
        "in_channels=3",
        "--alphas",
        0,
        "--out",
        out,
        "--mean-rank",
        1,
    )
    found = gdws("convert", path, "--net", NET, *options, "--images", 0, "--verification", 2, "--quiet")
    assert found.exit_code == 2  # the sample has one channel
    assert "1x28x28" in found.stderr
    with pytest.MonkeyPatch.context() as patch:
        split = Split(torch.rand(4, 3, 28, 28), torch.tensor([0, 1, 2, 9]))
        patch.setattr("gdws.datasets.load", lambda name, **_: Dataset(name, 10, split, split, split))
        found = gdws("convert", path, "--net", NET, *options, "--images", 0, "--verification", 2, "--quiet")
    assert found.exit_code == 0, found.output
    assert "normalised as for cifar10" in found.stderr
    with open_bundle(out) as bundle:
        provenance = bundle.manifest.provenance
    assert provenance["checkpoint_family"] == "authors"
    assert provenance["net_options"] == {"width": 2, "in_channels": 3, "normalisation": "cifar10"}


def test_alphas_from_a_file(path, tmp_path):
    state = weights()
    torch.save(state, path)
    file = tmp_path / "alphas.pth"
    gains = {f"module.{key}": torch.arange(value.shape[1]) + 1.0 for key, value in state.items() if value.ndim == 4}
    torch.save({"noise_gains": gains}, file)
    common = ("plan", path, "--net", NET, "--net-option", "width=2", "--mean-rank", 2, "--quiet", "--json")
    weighted, plain = (json.loads(gdws(*common, "--alphas", given).stdout) for given in (file, 0))
    assert weighted["layers"] != plain["layers"]
    neither = gdws(*common, "--alphas", "none.pth")
    assert neither.exit_code == 2
    assert "neither a number of images nor a file" in neither.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "cifar10"), "the location of cifar10 is unknown"),
        (("--data", "cifar10", "--data-root", "/nowhere"), "/nowhere is not a folder"),
        (("--data", "cifar-11"), "'cifar-11' is neither a data set nor a file or folder"),
        (("--family", "madry"), "there is no family of checkpoints 'madry'"),
        (("--normalisation", "blue"), "there is no normalisation 'blue'"),
    ],
)
def test_what_cannot_be(path, options, message):
    torch.save(weights(), path)
    found = evaluate(path, "--net-option", "width=2", *options)
    assert found.exit_code == 2
    assert message in found.stderr.replace("\n", " ")


def test_the_folder_may_be_in_the_environment(path, tmp_path, monkeypatch):
    torch.save(weights(), path)
    monkeypatch.setenv("GDWS_DATA_ROOT", str(tmp_path))
    found = evaluate(path, "--net-option", "width=2", "--data", "svhn")
    assert "train_32x32.mat is absent" in found.stderr.replace("\n", "")
