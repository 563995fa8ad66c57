"""Each network against what is published of it: size, cost, parameter names, and functions by other means."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gdws.errors import ModelError
from gdws.networks import zoo as nets

# Parameters, GMAC and MiB, the paper's Size. What the sources leave open is None.
PUBLISHED = {
    "vgg16": (14_728_266, 0.313, 56.18),
    "vgg16-hydra": (15_311_818, 0.314, 58.41),
    "preact-resnet18": (11_172_170, 0.555, 42.62),
    "preact-resnet18-plain": (11_171_146, 0.555, 42.61),
    "preact-resnet50": (23_513_162, 1.298, 89.70),
    "wrn28-4": (5_849_050, 0.846, 22.31),
    "robnet-free": (5_439_790, 0.780, 20.75),
    "mobilenetv1": (3_217_226, 0.046, 12.27),
    "mobilenetv2": (2_236_682, None, 8.53),
    "resnet20": (269_722, None, None),
    "resnet20-wide": (1_676_530, None, 6.395),
    "resnet18-dws": (1_437_834, 0.073, 5.48),
    "resnet50": (25_557_032, 4.089, 97.49),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_size_and_cost(name):
    parameters, gmac, mib = PUBLISHED[name]
    measured = nets.measure(name)
    assert measured.parameters == parameters
    if gmac is not None:
        assert measured.macs / 1e9 == pytest.approx(gmac, abs=6e-4)
    if mib is not None:
        assert measured.mib == pytest.approx(mib, abs=6e-3)


def test_every_network_but_those_for_mnist_is_held_to_its_source():
    assert {name for name in nets.names() if not name.startswith("mnist-")} == set(PUBLISHED)


def bn(name: str, *, affine: bool = True) -> set[str]:
    parts = ("running_mean", "running_var", "num_batches_tracked", *(("weight", "bias") if affine else ()))
    return {f"{name}.{part}" for part in parts}


def meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return nets.build(name, **options)


def keys(name: str) -> set[str]:
    return set(meta(name).state_dict())


def test_vgg_keys():
    convs = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
    expected = {f"features.{i}.weight" for i in convs}.union(*(bn(f"features.{i + 1}") for i in convs))
    biases = {f"features.{i}.bias" for i in convs}
    assert keys("vgg16") == expected | biases | {"classifier.weight", "classifier.bias"}
    assert keys("mnist-vgg16") == keys("vgg16")
    linear = {f"classifier.{i}.{part}" for i in (0, 2, 4) for part in ("weight", "bias")}
    assert keys("vgg16-hydra") == expected | linear


def test_vgg_hydra_has_the_released_shapes():
    weights = meta("vgg16-hydra").state_dict()
    shapes = [tuple(weights[f"classifier.{i}.weight"].shape) for i in (0, 2, 4)]
    assert shapes == [(256, 2048), (256, 256), (10, 256)]


def test_wrn_keys():
    expected = {"conv1.weight", "fc.weight", "fc.bias", *bn("bn1")}
    for block in range(1, 4):
        for layer in range(4):
            prefix = f"block{block}.layer.{layer}"
            expected |= {f"{prefix}.conv1.weight", f"{prefix}.conv2.weight", *bn(f"{prefix}.bn1"), *bn(f"{prefix}.bn2")}
        expected.add(f"block{block}.layer.0.convShortcut.weight")
    assert keys("wrn28-4") == expected


def test_mobilenetv1_keys():
    expected = {"conv1.weight", *bn("bn1"), "linear.weight", "linear.bias"}
    for layer in range(13):
        for i in (1, 2):
            expected |= {f"layers.{layer}.conv{i}.weight", *bn(f"layers.{layer}.bn{i}")}
    assert keys("mobilenetv1") == expected


def test_preact_resnet50_keys():
    expected = {"conv1.weight", *bn("bn"), "linear.weight", "linear.bias"}
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for block in range(depth):
            for i in (1, 2, 3):
                expected |= {f"layer{stage}.{block}.conv{i}.weight", *bn(f"layer{stage}.{block}.bn{i}")}
        expected.add(f"layer{stage}.0.shortcut.0.weight")
    assert keys("preact-resnet50") == expected


def test_the_form_without_the_final_bn_lacks_just_that():
    assert keys("preact-resnet18") - keys("preact-resnet18-plain") == bn("bn")
    assert keys("preact-resnet18-plain") < keys("preact-resnet18")


def test_robnet_keys():
    found = keys("robnet-free")
    assert {"stem.0.weight", *bn("stem.1"), "classifier.weight", "classifier.bias"} < found
    # Cell 0 begins 3, 2, 3, 3; its eleventh operation is none. Edge 1 is an identity and has no weights.
    first = {"0", "2", "3", "5", "6", "7", "9", "10", "12", "13"}
    assert {key.split(".")[3] for key in found if key.startswith("cells.0._ops.")} == first
    separable = {f"op.{i}.weight" for i in (1, 2, 5, 6)} | bn("op.3", affine=False) | bn("op.7", affine=False)
    edge = {f"cells.0._ops.0.op.conv.{key}" for key in separable}
    assert {key for key in found if key.startswith("cells.0._ops.0.")} == edge
    # Cell 6 reduces; its first operation is a sum whose shortcut has weights then.
    reduce = {"conv_1.weight", "conv_2.weight", *bn("bn", affine=False)}
    assert {f"cells.6._ops.0.op.res.{key}" for key in reduce} < found
    assert {f"cells.7.preprocess0.{key}" for key in reduce} < found
    assert {"cells.6.preprocess0.op.1.weight", *bn("cells.6.preprocess0.op.2", affine=False)} < found


def test_robnets_cells_have_an_operation_at_each_node():
    from gdws.networks.zoo.robnet import GENOTYPE

    assert len(GENOTYPE) == 20
    for genotype in GENOTYPE:
        assert len(genotype) == 14
        assert set(genotype) <= set("0123")
        for first, last in ((0, 2), (2, 5), (5, 9), (9, 14)):
            assert genotype[first:last].strip("0")


def randomised(model: nn.Module) -> nn.Module:
    """Statistics other than 0 and 1, so that each BN counts."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return model.eval()


def same_as_torchvisions(name, theirs, images):
    ours = meta(name).to_empty(device="cpu").eval()
    ours.load_state_dict(randomised(theirs).state_dict())
    x = torch.rand(*images)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


def test_resnet50_is_torchvisions():
    from torchvision import models

    torch.manual_seed(0)
    same_as_torchvisions("resnet50", models.resnet50(), (1, 3, 64, 64))


def test_mobilenetv2_is_torchvisions_at_other_strides():
    from torchvision import models

    torch.manual_seed(0)
    stages = [[1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]
    theirs = models.mobilenet_v2(num_classes=10, inverted_residual_setting=stages)
    theirs.features[0][0].stride = (1, 1)
    same_as_torchvisions("mobilenetv2", theirs, (2, 3, 32, 32))


def test_resnet20s_shortcut_takes_every_second_pixel_and_fills_with_zeros():
    from gdws.networks.zoo.resnet import Block

    block = randomised(Block(4, 8, 2))
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 4, 6, 6)
    with torch.no_grad():
        out = block(x)
    assert torch.equal(out[:, 2:6], x[:, :, ::2, ::2])
    assert not out[:, :2].any()
    assert not out[:, 6:].any()


def test_mnist_vgg_sees_its_image_in_a_border_of_zeros():
    torch.manual_seed(0)
    narrow = randomised(nets.build("mnist-vgg16", width=2))
    same = randomised(nets.build("vgg16", width=2, in_channels=1))
    same.load_state_dict(narrow.state_dict())
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(narrow(x), same(nn.functional.pad(x, (2, 2, 2, 2))))


@pytest.mark.parametrize("name", nets.names())
def test_width_channels_and_classes_are_options(name):
    model = meta(name, width=4, in_channels=2, classes=3)
    _, height, width = nets.info(name).input_shape
    with torch.no_grad():
        assert model.eval()(torch.rand(1, 2, height, width, device="meta")).shape == (1, 3)
    assert nets.input_shape(name, in_channels=2) == (2, height, width)
    assert nets.measure(name, width=4, in_channels=2, classes=3).parameters < nets.measure(name).parameters


@pytest.mark.parametrize(
    ("name", "options"),
    [("vgg16", {"width": 0}), ("wrn28-4", {"depth": 27}), ("robnet-free", {"width": 3}), ("resnet50", {"classes": 0})],
)
def test_invalid_options_are_refused(name, options):
    with pytest.raises(ModelError, match=name):
        nets.build(name, **options)


def test_narrow_separable_resnet_has_the_published_structure():
    assert keys("mnist-resnet18-dws") == keys("resnet18-dws")
    assert nets.build("mnist-resnet18-dws", width=2)(torch.rand(2, 1, 28, 28)).shape == (2, 10)
