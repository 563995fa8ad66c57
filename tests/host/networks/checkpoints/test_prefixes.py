"""Networks that were stored inside of something, and files that hold several."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gdws.errors import CheckpointMismatch, CheckpointUnreadable, ModelError
from gdws.networks import checkpoints
from gdws.networks.checkpoints.prefixes import under_one_prefix
from gdws.networks.sources import WeightsFile, load, load_module
from support.command import gdws
from support.networks import SmallResNet, seeded


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.pt"


def weights(seed=0):
    return {key: tensor.clone() for key, tensor in seeded(SmallResNet, seed=seed).state_dict().items()}


def under(prefix, seed=0):
    return {f"{prefix}{key}": tensor for key, tensor in weights(seed).items()}


def around(part, wrapper, seed=0):
    """As when a part of the network was wrapped by itself."""
    start = f"{part}."
    return {key.replace(start, f"{start}{wrapper}.", 1): tensor for key, tensor in weights(seed).items()}


def loaded(path, content, **options):
    torch.save(content, path)
    return checkpoints.load(path, SmallResNet(), **options)


def assert_same(model, seed=0):
    for key, tensor in weights(seed).items():
        assert torch.equal(model.state_dict()[key], tensor), key


WRAPPED = {
    "bare": weights(),
    "DDP": under("module."),
    "torch.compile": under("_orig_mod."),
    "compiled in DDP": under("module._orig_mod."),
    "DDP in compiled": under("_orig_mod.module."),
    "Lightning": {
        "state_dict": under("model."),
        "epoch": 3,
        "optimizer_states": [{"state": {0: {"step": torch.ones(1)}}}],
    },
    "Lightning, another name": {"state_dict": under("net."), "hyper_parameters": {"lr": 0.1}},
    "Lightning, compiled in DDP": {"state_dict": under("model.module._orig_mod.")},
    "Lightning with metrics": {"state_dict": {**under("model."), "val_acc.tp": torch.ones(3)}},
    "averaged": {"n_averaged": torch.tensor(3), **under("module.")},
    "FSDP": under("_fsdp_wrapped_module."),
    "a part is compiled": around("conv1", "_orig_mod"),
    "a part is checkpointed": around("head", "_checkpoint_wrapped_module"),
    "a part is in DDP, in Lightning": {"state_dict": {f"model.{k}": v for k, v in around("bn", "module").items()}},
    "DeepSpeed": {"module": weights(), "optimizer": None, "global_steps": 3},
    "any name": {"generator_of_dreams": under("a.b.c."), "step": 5},
    "nested": {"checkpoint": {"model": under("backbone.")}},
    "twice usual": {"model": {"state_dict": weights()}, "optimizer": {"state": {0: {"a": torch.ones(1)}}}},
    "beside a head": {**under("encoder."), "projector.weight": torch.ones(3)},
    "equal copies": {**under("model."), **under("shadow.")},
}


@pytest.mark.parametrize("content", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.filterwarnings("ignore::gdws.networks.checkpoints.CheckpointWarning")
def test_wrapped_networks_are_found(path, content):
    assert_same(loaded(path, content))


def test_what_wraps_networks_in_torch_is_read(path):
    """As torch names the parts, not as is written here."""
    model = seeded(SmallResNet)
    wrapped = {
        "parallel": nn.DataParallel(model),
        "averaged": AveragedModel(model),
        "compiled": torch.compile(model),
        "compiled in parallel": nn.DataParallel(torch.compile(model)),
    }
    for name, network in wrapped.items():
        with pytest.warns(checkpoints.CheckpointWarning) if name == "averaged" else nullcontext():
            assert_same(loaded(path, network.state_dict()))


def test_what_is_left_out_is_told(path):
    torch.save({"state_dict": {**under("model."), "loss.weight": torch.ones(5)}}, path)
    _, notes = checkpoints.read_into(SmallResNet(), path)
    assert notes == ("left out 1 entries outside the network: loss.weight",)


SEVERAL = {
    "copy by prefix": ({**under("model."), **under("ema_model.", 1)}, "ema_model"),
    "bare and a copy": ({**weights(), **under("ema.", 1)}, "ema"),
    "containers": ({"student": weights(), "teacher": weights(1)}, "teacher"),
    "containers of wrapped ones": ({"a": under("module."), "b": under("module._orig_mod.", 1)}, "b"),
    "container and prefix": ({"state_dict": {**under("model."), **under("avg.module.", 1)}}, "avg"),
    "full name": ({"state_dict": {**under("model."), **under("avg.module.", 1)}}, "state_dict.avg"),
    "below one name": ({"model": {"one": weights(), "two": weights(1)}}, "model.two"),
}


@pytest.mark.parametrize(("content", "prefix"), SEVERAL.values(), ids=SEVERAL)
def test_of_several_networks_one_must_be_named(path, content, prefix):
    with pytest.raises(CheckpointMismatch, match=prefix.split(".")[-1]) as caught:
        loaded(path, content)
    assert "--prefix" in caught.value.hint
    assert_same(loaded(path, content, prefix=prefix), seed=1)
    assert_same(loaded(path, content, prefix=f"{prefix}."), seed=1)


def test_fine_tuning_takes_a_prefix(path, tmp_path):
    shipped = checkpoints.load(_shipped()).state_dict()
    torch.save({"one": shipped, "two": {key: 0 * tensor for key, tensor in shipped.items()}}, path)
    options = ("--net", "mnist-preact-resnet", "--mean-rank", "1", "--out", str(tmp_path / "out.safetensors"))
    found = gdws("finetune", path, *options, "-q")
    assert "contains 2 state dicts: one, two" in " ".join(found.stderr.split())
    found = gdws("finetune", path, *options, "-q", "--prefix", "three")
    assert "nothing under 'three'" in " ".join(found.stderr.split())


def test_a_network_on_the_meta_device(path):
    torch.save(weights(), path)
    with torch.device("meta"):
        model = SmallResNet()
    with pytest.raises(ModelError, match="meta device"):
        checkpoints.load(path, model)


@pytest.mark.filterwarnings("ignore::gdws.networks.checkpoints.CheckpointWarning")
def test_the_names_as_they_are(path):
    assert_same(loaded(path, {**weights(), **under("ema.", 1), "ema.count": torch.ones(1)}, prefix=""))


def test_another_copy_is_told_where_one_is_usual(path):
    torch.save({"state_dict": weights(), "state_dict_ema": weights(1)}, path)
    model, notes = checkpoints.read_into(SmallResNet(), path)
    assert_same(model)
    assert notes == ("using state_dict; state_dict_ema has the same names, use --prefix state_dict_ema for that",)
    assert_same(checkpoints.load(path, SmallResNet(), prefix="state_dict_ema"), seed=1)


def test_a_prefix_that_is_not_there(path):
    with pytest.raises(CheckpointMismatch, match="nothing under 'ema'") as caught:
        loaded(path, {"state_dict": under("model.")}, prefix="ema")
    assert "state_dict.model" in caught.value.hint


def test_a_prefix_in_two_places_is_ambiguous(path):
    content = {"a": under("net."), "b": under("net.", 1)}
    with pytest.raises(CheckpointMismatch, match=r"a\.net, b\.net"):
        loaded(path, content, prefix="net")
    assert_same(loaded(path, content, prefix="b.net"), seed=1)


def test_strangers_under_the_prefix_are_a_sign_of_another_network(path):
    with pytest.raises(CheckpointMismatch, match=r"1 unexpected: extra\.weight"):
        loaded(path, {**under("model."), "model.extra.weight": torch.ones(3)})


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model._orig_mod."])
def test_the_number_of_classes_is_told_whatever_the_prefix(path, prefix):
    other = {f"{prefix}{key}": tensor for key, tensor in SmallResNet(classes=7).state_dict().items()}
    torch.save(other, path)
    with pytest.raises(CheckpointMismatch, match=r"has 7 classes, the network 5"):
        checkpoints.load(path, SmallResNet())


@pytest.mark.parametrize("content", [{}, [], {"state_dict": {"a": 1}}, {"epoch": 3}, {"state_dict": {}}])
def test_files_without_weights(path, content):
    with pytest.raises(CheckpointUnreadable, match="no state dict"):
        loaded(path, content)


def test_a_network_that_has_a_wrappers_name_itself():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)
            self.other = nn.Linear(2, 2)

    expected = Own().state_dict()
    found, notes = under_one_prefix(expected, {f"model.{key}": value for key, value in expected.items()}, "file")
    assert found.keys() == expected.keys()
    assert notes == ()


def test_the_network_of_a_wrapped_checkpoint_is_recognised(path):
    torch.save({"state_dict": {f"model.{k}": v for k, v in checkpoints.load(_shipped()).state_dict().items()}}, path)
    with pytest.raises(CheckpointMismatch) as caught:
        load(str(path))
    assert "--net mnist-preact-resnet" in caught.value.hint
    assert load(str(path), "mnist-preact-resnet").module is not None


def _shipped():
    from gdws.networks import zoo as nets

    return nets.pretrained_path("mnist-preact-resnet")


def test_a_module_takes_a_prefix(path):
    torch.save({**under("model."), **under("ema.", 1)}, path)
    source = load_module("support.networks:SmallResNet", (3, 8, 8), weights=WeightsFile(str(path), prefix="ema"))
    assert_same(source.module, seed=1)
