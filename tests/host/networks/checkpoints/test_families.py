"""Files of exactly the structures that other projects release, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from gdws.errors import CheckpointError, CheckpointMismatch, ModelError
from gdws.networks import checkpoints
from gdws.networks import zoo as nets
from gdws.networks.checkpoints import CheckpointWarning
from gdws.networks.zoo.normalise import Normalise

OPTIMIZER = {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def network(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    model = nets.build(name, width=2, **options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.uniform_(-0.1, 0.1)
    return model


def prefixed(model: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor for key, tensor in model.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def normalised(model: nn.Module, name: str, x: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in nets.NORMALISATIONS[name])
    with torch.no_grad():
        logits: torch.Tensor = model((x - mean) / std)
    return logits


def test_the_authors_form_is_normalised_as_cifar10(path):
    model = network("preact-resnet18")
    torch.save({"state_dict": prefixed(model, "module."), "test_robust_acc": 0.5, "test_acc": 0.8}, path)
    loaded = checkpoints.load_named(path, "preact-resnet18", width=2)
    assert (loaded.family, loaded.options["normalisation"]) == ("authors", "cifar10")
    assert same(loaded.module, model)
    assert "cifar10" in " ".join(loaded.notes)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded.module(x), normalised(model, "cifar10", x))


def test_the_caller_may_choose_another_normalisation(path):
    model = network("preact-resnet18")
    torch.save({"state_dict": prefixed(model, "module."), "test_robust_acc": 0.5}, path)
    raw = checkpoints.load(path, "preact-resnet18", width=2, normalisation="none")
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(raw(x), model(x))


def test_rice_svhn_must_be_named(path):
    model = network("preact-resnet18")
    torch.save(model.state_dict(), path)
    assert checkpoints.read(path).family == "plain"
    with pytest.warns(CheckpointWarning, match="svhn"):
        loaded = checkpoints.load(path, "preact-resnet18", family="svhn", width=2)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), normalised(model, "svhn", x))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_hydra_dense(path, prefix):
    model = network("wrn28-4", depth=10)
    state = prefixed(model, prefix) | {f"{prefix}sub_block1.layer.0.conv1.weight": torch.zeros(2, 2, 3, 3)}
    content = {"epoch": 3, "arch": "wrn_28_4", "state_dict": state, "best_prec1": 54.0, "optimizer": OPTIMIZER}
    torch.save(content, path)
    with pytest.warns(CheckpointWarning, match=r"1 entries.*sub_block1\.layer\.0\.conv1\.weight"):
        loaded = checkpoints.load(path, "wrn28-4", width=2, depth=10)
    assert same(loaded, model)
    assert isinstance(loaded.normalise, nn.Identity)


def test_hydra_on_imagenet_is_normalised(path):
    model = network("resnet50")
    torch.save({"arch": "ResNet50", "best_prec1": 1.0, "state_dict": model.state_dict()}, path)
    checkpoint = checkpoints.read(path)
    assert (checkpoint.family, checkpoint.normalisation) == ("hydra", "imagenet")


def masked_file(model: nn.Module, path: Path, **more: object) -> dict[str, torch.Tensor]:
    """HYDRA's second form; returns the scores by weight."""
    weights = model.state_dict()
    scores = {key: torch.randn_like(tensor) for key, tensor in weights.items() if tensor.ndim in (2, 4)}
    state = weights | {f"{key.removesuffix('weight')}popup_scores": tensor for key, tensor in scores.items()}
    torch.save({"arch": "vgg16_bn", "best_prec1": 1.0, "state_dict": state, **more}, path)
    return scores


@pytest.mark.parametrize("kept", [0.1, 0.01, 0.37, 1])
def test_hydra_masks_are_applied(path, kept):
    model = network("vgg16-hydra")
    scores = masked_file(model, path)
    loaded = checkpoints.load_named(path, "vgg16-hydra", kept=kept, width=2)
    assert any("popup scores" in note for note in loaded.notes)
    for key, tensor in loaded.module.state_dict().items():
        original = model.state_dict()[key]
        if key not in scores:
            assert torch.equal(tensor, original)
            continue
        zeroed = int((1 - kept) * original.numel())
        threshold = scores[key].abs().flatten().sort().values[zeroed]
        assert torch.equal(tensor, torch.where(scores[key].abs() < threshold, torch.zeros(()), original))
        assert int((tensor == 0).sum()) == zeroed


def test_the_number_of_zeros_is_rounded_down(path):
    torch.save({"a.weight": torch.ones(1, 7), "a.popup_scores": torch.arange(7.0).view(1, 7)}, path)
    weight = checkpoints.read(path, kept=0.5).weights["a.weight"]
    assert weight.tolist() == [[0, 0, 0, 1, 1, 1, 1]]


def test_the_share_that_masks_keep_may_be_in_the_file(path):
    model = network("vgg16-hydra")
    masked_file(model, path, k=0.5)
    weight = checkpoints.read(path).weights["features.3.weight"]
    assert int((weight == 0).sum()) == weight.numel() // 2


def test_masks_without_a_share_are_an_error(path):
    masked_file(network("vgg16-hydra"), path)
    with pytest.raises(CheckpointError, match="which fraction of the weights") as caught:
        checkpoints.load(path, "vgg16-hydra", width=2)
    assert "--kept" in str(caught.value.hint)


@pytest.mark.parametrize("kept", [0, -0.1, 1.5, float("nan")])
def test_shares_that_cannot_be(path, kept):
    masked_file(network("vgg16-hydra"), path)
    with pytest.raises(CheckpointError, match="share"):
        checkpoints.read(path, kept=kept)


def test_scores_that_fit_no_weight(path):
    torch.save({"a.weight": torch.zeros(2, 2), "a.popup_scores": torch.zeros(3, 2)}, path)
    with pytest.raises(CheckpointError, match=r"no weight with the shape of a\.popup_scores"):
        checkpoints.read(path, kept=0.5)


def test_a_share_without_scores_is_told(path):
    torch.save(network("vgg16-hydra").state_dict(), path)
    assert "every weight is kept" in checkpoints.read(path, kept=0.5).notes[0]


def test_admm(path):
    model = network("preact-resnet18-plain")
    torch.save(prefixed(model, "module.basic_model."), path)
    assert checkpoints.read(path).family == "admm"
    assert same(checkpoints.load(path, "preact-resnet18-plain", width=2), model)


def test_msd_is_half_precision_throughout(path):
    model = network("preact-resnet18-plain")
    half = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in model.state_dict().items()}
    torch.save(half, path)
    assert checkpoints.read(path).family == "msd"
    loaded = checkpoints.load(path, "preact-resnet18-plain", width=2)
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert same(loaded, model.half().float())


def test_robnet_leaves_out_what_the_network_lacks(path):
    model = network("robnet-free")
    state = model.state_dict() | {"auxiliary.weight": torch.zeros(3)}
    torch.save({"state_dict": state, "epoch": 200}, path)
    assert checkpoints.read(path).family == "robnet"
    with pytest.warns(CheckpointWarning, match=r"1 entries that the network does not have: auxiliary\.weight"):
        assert same(checkpoints.load(path, "robnet-free", width=2), model)
    del state["classifier.bias"]
    torch.save({"state_dict": state}, path)
    with pytest.raises(CheckpointMismatch, match=r"1 missing: classifier\.bias"):
        checkpoints.load(path, "robnet-free", width=2)


@pytest.mark.parametrize("field", ["model", "state_dict"])
def test_madrylab_brings_its_statistics(path, field):
    model = network("preact-resnet18")
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    state = prefixed(model, "module.model.") | prefixed(model, "module.attacker.model.")
    for place in ("normalizer", "attacker.normalize"):
        state |= {f"module.{place}.new_mean": mean, f"module.{place}.new_std": std}
    torch.save({field: state, "optimizer": OPTIMIZER, "epoch": 1}, path)
    loaded = checkpoints.load_named(path, "preact-resnet18", width=2)
    assert loaded.family == "madrylab"
    assert same(loaded.module, model)
    layer = loaded.module.normalise
    assert isinstance(layer, Normalise)
    torch.testing.assert_close((layer.mean, layer.std), (mean, std))
    assert json.loads(json.dumps(loaded.options)) == loaded.options  # goes into the metadata of our files


def test_our_own_files_are_what_they_say(path):
    """Whatever their keys look like: nothing is normalised that the options do not name."""
    model = network("preact-resnet18")
    options = {"width": 2, "normalisation": "svhn"}
    checkpoints.save(path, model.state_dict(), {"net": "preact-resnet18", "net_options": json.dumps(options)})
    loaded = checkpoints.load_named(path)
    assert loaded.notes == ()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded.module(x), normalised(model, "svhn", x))


def test_our_own_files_belong_to_no_other_family(path):
    """RobNet's would be loose, and a stray entry pass."""
    model = network("robnet-free")
    stray = model.state_dict() | {"auxiliary.weight": torch.zeros(3)}
    checkpoints.save(path, stray, {"net": "robnet-free", "net_options": '{"width": 2}'})
    assert checkpoints.read(path).family == "plain"
    with pytest.raises(CheckpointMismatch, match="1 unexpected"):
        checkpoints.load(path)


def test_a_plain_file_with_stray_keys_is_refused(path):
    """To drop the final BN of a PreAct-ResNet would change the function in silence."""
    torch.save(network("preact-resnet18").state_dict(), path)
    with pytest.raises(CheckpointMismatch, match=r"5 unexpected: bn\.weight"):
        checkpoints.load(path, "preact-resnet18-plain", width=2)


def test_the_wrong_number_of_classes_is_told_as_such(path):
    torch.save(network("preact-resnet18", classes=100).state_dict(), path)
    with pytest.raises(CheckpointMismatch, match="has 100 classes, the network 10") as caught:
        checkpoints.load(path, "preact-resnet18", width=2)
    assert "classes=100" in str(caught.value.hint)
    assert checkpoints.load(path, "preact-resnet18", width=2, classes=100)(torch.rand(1, 3, 32, 32)).shape == (1, 100)


def test_a_file_without_a_name_gets_a_proposal(path):
    torch.save(nets.build("resnet20").state_dict(), path)
    with pytest.raises(CheckpointMismatch, match="does not name its network") as caught:
        checkpoints.load(path)
    assert "--net resnet20" in str(caught.value.hint)


def test_unknown_families(path):
    torch.save(network("resnet20").state_dict(), path)
    with pytest.raises(CheckpointError, match="'madry'") as caught:
        checkpoints.load(path, "resnet20", family="madry")
    assert "madrylab" in str(caught.value.hint)


def test_a_normalisation_for_another_number_of_channels(path):
    model = network("preact-resnet18", in_channels=1)
    torch.save({"state_dict": model.state_dict(), "test_robust_acc": 0.5}, path)
    with pytest.raises(ModelError, match="3 values, and the network takes 1 channels"):
        checkpoints.load(path, "preact-resnet18", width=2, in_channels=1)


def test_a_module_is_told_which_pixels_it_needs(path):
    model = network("preact-resnet18")
    torch.save({"state_dict": prefixed(model, "module."), "test_robust_acc": 0.5}, path)
    with pytest.warns(CheckpointWarning, match="normalised as for cifar10"):
        assert same(checkpoints.load(path, model), model)
