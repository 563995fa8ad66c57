"""Networks of a user's own on the command line: ONNX files and Python code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from gdws.cli.entry import app
from gdws.networks import zoo as nets
from gdws.onnx_io.export import export
from gdws_contract.archive import open_bundle
from support.networks import SmallResNet, seeded

CODE = """
from support.networks import SmallResNet, seeded

def make(width=4, classes=5):
    return seeded(SmallResNet, width, classes)

class Several(SmallResNet):
    def forward(self, x):
        logits = super().forward(x)
        return {"aux": logits.exp(), "logits": logits}

class Meeting(SmallResNet):
    def forward(self, x):
        return super().forward(x / x.mean())

class Reading(SmallResNet):
    def forward(self, x):
        return super().forward(x) / self.conv2.groups

def several():
    return seeded(Several, 4)

def meeting():
    return seeded(Meeting, 4)

def reading():
    return seeded(Reading, 4)
"""
MODULE = ("--module", "networks_of_a_user:make")
SHAPE = ("--input-shape", "3,12,12")


def gdws(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*(str(argument) for argument in arguments), "-q"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "networks_of_a_user.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("networks_of_a_user", None)


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "my model (2).onnx"
    path.write_bytes(export(seeded(SmallResNet, 4), (3, 12, 12)))
    return path


def test_an_onnx_file_becomes_a_bundle(onnx: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.gdws"
    options = ("--data", "random", "--attack", "none", "--verification", 4, "--alphas", 2)
    found = gdws("convert", "--onnx", onnx, "--mean-rank", 2, *options, "--out", out)
    assert found.exit_code == 0, found.output
    with open_bundle(out) as bundle:
        bundle.verify()
        manifest = bundle.manifest
    assert manifest.name == "my-model-2"
    assert manifest.provenance["onnx"] == onnx.name
    assert manifest.variants[0].evaluation.natural.value == 1  # labels are its own
    assert manifest.variants[1].layers[1].mean_rank == 2
    again = gdws("finetune", out, "--out", tmp_path / "tuned.safetensors")
    assert again.exit_code == 2
    assert "was not made from a network" in again.stderr


def test_python_code_with_weights_from_a_file(tmp_path: Path) -> None:
    trained = seeded(SmallResNet, 4, seed=3)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    options = (*MODULE, *SHAPE, "--mean-rank", 1, "--json")
    plans = [json.loads(gdws("plan", *given, *options).stdout) for given in ((), ("weights.pth",))]
    assert plans[0]["layers"][1]["weight_shape"] == plans[1]["layers"][1]["weight_shape"]
    assert plans[0]["layers"][1]["e2"] != plans[1]["layers"][1]["e2"]


def test_options_of_the_factory() -> None:
    found = gdws("plan", *MODULE, *SHAPE, "--module-option", "width=6", "--mean-rank", 1, "--json")
    assert json.loads(found.stdout)["layers"][1]["weight_shape"] == [6, 6, 3, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "no network is named"),
        (("--onnx", "no.onnx"), "no.onnx: No such file"),
        (("--onnx", "no.onnx", *MODULE), "--module cannot be combined with --onnx"),
        (("--onnx", "no.onnx", "--net", "vgg16"), "--net cannot be combined with --onnx"),
        (("--onnx", "no.onnx", "--family", "msd"), "--family cannot be combined with a network without CHECKPOINT"),
        ((*MODULE, "--net", "vgg16"), "--net cannot be combined with --module"),
        (("weights.pth", *SHAPE), "--input-shape cannot be combined with a checkpoint"),
        (MODULE, "does not define the shape of its images"),
        ((*MODULE, "--input-shape", "3,12"), "does not run on images"),
        ((*MODULE, "--input-shape", "3,12,0"), "not the shape of an image"),
        ((*MODULE, "--input-shape", "3x12x12"), "not a list of whole numbers"),
        ((*MODULE, "--input-shape", "1,12,12"), "does not run on images of shape"),
        ((*MODULE, *SHAPE, "--module-option", "width"), "--module-option 'width' is not NAME=VALUE"),
        ((*MODULE, *SHAPE, "--module-option", "depth=2"), "depth=2"),
    ],
    ids=str,
)
def test_what_cannot_be_is_exit_2(options: tuple[str, ...], words: str) -> None:
    found = gdws("plan", *options, "--mean-rank", 1)
    assert found.exit_code == 2
    assert words in found.stderr.replace("\n", " ")


NOISE = ("--data", "random", "--attack", "none")


@pytest.mark.parametrize(
    ("command", "factory", "words", "hint"),
    [
        (("evaluate",), "several", "nothing to compare it with", "--plan FILE"),
        (("evaluate",), "meeting", "other images of its batch", "dim=(1, 2, 3)"),
        (("convert", "--out", "m.gdws", "--mean-rank", 1), "meeting", "other images of its batch", "dim=(1, 2, 3)"),
    ],
)
def test_a_network_that_cannot_be_judged_is_refused_at_once(command, factory, words, hint) -> None:
    found = gdws(*command, "--module", f"networks_of_a_user:{factory}", *SHAPE, *NOISE)
    assert found.exit_code == 2
    error = " ".join(found.stderr.split())
    assert words in error
    assert hint in error


def test_one_of_several_outputs_is_chosen(tmp_path: Path) -> None:
    given = ("--module", "networks_of_a_user:several", *SHAPE, "--output", "logits", *NOISE)
    found = gdws("convert", *given, "--mean-rank", 1, "--verification", 4, "--alphas", 2, "--out", tmp_path / "m.gdws")
    assert found.exit_code == 0, found.output
    with open_bundle(tmp_path / "m.gdws") as bundle:
        assert bundle.manifest.provenance["output"] == "logits"
    assert gdws("evaluate", *given).exit_code == 0


def test_a_layer_that_the_code_needs_is_left_alone_with_the_reason() -> None:
    found = gdws("plan", "--module", "networks_of_a_user:reading", *SHAPE, "--mean-rank", 1, "--alphas", 0, "--json")
    reasons = {layer["name"]: layer["left_alone"] for layer in json.loads(found.stdout)["layers"]}
    assert reasons["conv1"] is None
    assert "no attribute 'groups'" in reasons["conv2"]


def test_one_of_several_networks_in_a_file_is_chosen(tmp_path: Path) -> None:
    states = {name: seeded(SmallResNet, 4, seed=seed).state_dict() for seed, name in enumerate(("one", "two"))}
    torch.save(states, tmp_path / "both.pth")
    options = ("both.pth", *MODULE, *SHAPE, "--mean-rank", 1, "--alphas", 0, "--json")
    found = gdws("plan", *options)
    assert found.exit_code == 2
    assert "contains 2 state dicts: one, two" in " ".join(found.stderr.split())
    errors = [
        [layer["e2"] for layer in json.loads(gdws("plan", *options, "--prefix", name).stdout)["layers"]]
        for name in states
    ]
    assert errors[0] != errors[1]


def test_images_of_another_kind() -> None:
    found = gdws("evaluate", *MODULE, *SHAPE, "--attack", "none")
    assert found.exit_code == 2
    assert "--data random" in found.stderr
    found = gdws("evaluate", *MODULE, *SHAPE, "--data", "random", "--attack", "pgd")
    assert found.exit_code == 2
    assert "--attack none" in found.stderr


def test_a_pruned_network_is_narrowed_and_tells_both_sizes(tmp_path: Path) -> None:
    """A checkpoint of HYDRA's form whose masks leave whole filters of zeros."""
    torch.manual_seed(0)
    state = nets.build("mnist-vgg16", width=4).state_dict()
    scores = {key.removesuffix("weight") + "popup_scores": v for key, v in state.items() if v.ndim == 4}
    torch.save({"arch": "vgg", "best_prec1": 1.0, "state_dict": state | scores}, tmp_path / "pruned.pth.tar")
    out = tmp_path / "model.gdws"
    given = ("pruned.pth.tar", "--net", "mnist-vgg16", "--net-option", "width=4", "--kept", 0.02)
    options = ("--mean-rank", 2, "--images", 0, "--verification", 4, "--alphas", 0, "--attack", "none", "--out", out)
    found = gdws("convert", *given, *options, "--slim")
    assert found.exit_code == 0, found.output
    assert "removed" in found.stderr
    assert "MiB without zeros" in found.stdout
    with open_bundle(out) as bundle:
        provenance, variants = bundle.manifest.provenance, bundle.manifest.variants
    assert provenance["narrowed_from"] == "mnist-vgg16"
    assert provenance["removed_channels"] > 10
    assert "net" not in provenance
    dense = variants[0]
    assert provenance["non_zero_parameters"]["dense"] < dense.parameters < sum(v.numel() for v in state.values())
    unchanged = gdws("plan", *given, "--mean-rank", 2, "--json")
    assert json.loads(unchanged.stdout)["layers"][1]["weight_shape"] == [4, 4, 3, 3]


def test_a_dense_network_has_nothing_to_remove() -> None:
    found = gdws("plan", *MODULE, *SHAPE, "--slim", "--mean-rank", 1)
    assert found.exit_code == 0
    assert "no channel can be removed" in found.stderr
