from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from gdws import datasets
from gdws.errors import ModelError, UnknownNetwork
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.evaluate import evaluate
from gdws.networks import checkpoints
from gdws.networks import zoo as nets


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def conv_macs(model: nn.Module, input_shape: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Multiply-accumulates of the convolutions by kernel size, and of linear layers under (0, 0)."""
    macs: dict[tuple[int, int], int] = {}

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            size = out[0].numel() * module.weight[0].numel()
            macs[module.kernel_size] = macs.get(module.kernel_size, 0) + size
        elif isinstance(module, nn.Linear):
            macs[(0, 0)] = macs.get((0, 0), 0) + module.weight.numel()

    handles = [module.register_forward_hook(count) for module in model.modules()]
    with torch.no_grad():
        model.eval()(torch.zeros(1, *input_shape))
    for handle in handles:
        handle.remove()
    return macs


def test_preact_resnet18_has_the_published_size_and_cost():
    model = nets.build("preact-resnet18")
    assert parameters(model) == 11_172_170
    assert sum(conv_macs(model, (3, 32, 32)).values()) / 1e9 == pytest.approx(0.555, abs=5e-4)


def test_preact_resnet18_has_the_released_keys():
    keys = set(nets.build("preact-resnet18").state_dict())
    bn = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"conv1.weight", "linear.weight", "linear.bias", *(f"bn.{part}" for part in bn)}
    for stage in range(1, 5):
        for block in range(2):
            prefix = f"layer{stage}.{block}"
            expected |= {f"{prefix}.conv{i}.weight" for i in (1, 2)}
            expected |= {f"{prefix}.bn{i}.{part}" for i in (1, 2) for part in bn}
        if stage > 1:
            expected.add(f"layer{stage}.0.shortcut.0.weight")
    assert keys == expected


def test_preact_resnet18_computes_what_its_description_says():
    torch.manual_seed(0)
    model = nets.build("preact-resnet18")
    for module in model.modules():  # statistics other than 0 and 1, so that each BN counts
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    weights = model.eval().state_dict()

    def bn_relu(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, weight, bias = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.relu(F.batch_norm(x, mean, var, weight, bias, eps=1e-5))

    x = torch.rand(2, 3, 32, 32)
    out = F.conv2d(x, weights["conv1.weight"], padding=1)
    for stage in range(1, 5):
        for block in range(2):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            activated = bn_relu(out, f"{name}.bn1")
            shortcut = out
            if stride == 2:
                shortcut = F.conv2d(activated, weights[f"{name}.shortcut.0.weight"], stride=2)
            inner = F.conv2d(activated, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
            out = F.conv2d(bn_relu(inner, f"{name}.bn2"), weights[f"{name}.conv2.weight"], padding=1) + shortcut
    pooled = F.avg_pool2d(bn_relu(out, "bn"), 4).flatten(1)
    expected = F.linear(pooled, weights["linear.weight"], weights["linear.bias"])
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected)


def test_the_demo_network_is_small_and_mostly_3x3():
    model = nets.build("mnist-preact-resnet")
    assert parameters(model) == 695_658
    assert max(conv.out_channels for conv in model.modules() if isinstance(conv, nn.Conv2d)) >= 128
    macs = conv_macs(model, nets.info("mnist-preact-resnet").input_shape)
    eligible = macs[(3, 3)] - 28 * 28 * 32 * 9  # the first convolution is usually left alone
    assert eligible / sum(macs.values()) > 0.95


@pytest.mark.parametrize("name", nets.names())
def test_each_network_maps_its_input_to_its_classes(name):
    info = nets.info(name)
    with torch.no_grad():
        assert nets.build(name).eval()(torch.rand(2, *info.input_shape)).shape == (2, info.classes)
        assert nets.build(name, classes=3).eval()(torch.rand(1, *info.input_shape)).shape == (1, 3)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UnknownNetwork, match="resnet-5") as caught:
        nets.build("resnet-5")
    assert "preact-resnet18" in str(caught.value.hint)


@pytest.mark.parametrize("options", [{"depth": 3}, {"width": -1}, {"width": "wide"}, {"width": 0}])
def test_illegal_options_are_refused(options):
    with pytest.raises(ModelError, match="mnist-preact-resnet"):
        nets.build("mnist-preact-resnet", **options)


def test_weights_ship_only_for_some():
    with pytest.raises(ModelError, match="preact-resnet18 has no shipped weights") as caught:
        nets.pretrained_path("preact-resnet18")
    assert "mnist-preact-resnet" in str(caught.value.hint)
    with pytest.raises(UnknownNetwork):
        nets.pretrained_path("../../etc/passwd")


def test_the_shipped_network_is_accurate_and_robust():
    path = nets.pretrained_path("mnist-preact-resnet")
    assert path.stat().st_size <= 4_000_000
    assert checkpoints.read(path).metadata["command"].startswith("gdws train --net mnist-preact-resnet")
    model = checkpoints.load(path)
    assert not model.training
    test = datasets.mnist_sample().test
    assert evaluate(model, test.images, test.labels).natural.value >= 0.98
    few = test.first(50)
    attacked = evaluate(model, few.images, few.labels, AttackSpec(step=0.05, iterations=10))
    assert attacked.robust is not None
    assert attacked.robust.value >= 0.86
