import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import weight_norm

from gdws.compression import surgery
from gdws.compression.layers import GDWSConv2d
from gdws.errors import ModelError, NonFiniteWeights, PlanError
from gdws.planning.conversion import convert
from gdws_contract.plan import LayerPlan, Plan
from support.networks import Sharing, SmallResNet, seeded


def named(layers):
    return {layer.name: layer for layer in layers}


def full_plan(model, **options):
    return convert(model, mean_rank=100, **options)[1]


class Folding(nn.Module):
    """Runs its frames as a batch, and has layers of every kind."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Conv2d(1, 1, 3)
        self.late = nn.Conv2d(4, 2, 3)
        self.first = nn.Conv2d(3, 4, 3)
        self.up = nn.ConvTranspose2d(2, 3, 2, stride=2)
        self.line = nn.Conv1d(3, 2, 3)
        self.head = nn.Linear(2, 7)

    def forward(self, x):  # (N, 2, 3, 8, 8)
        x = self.up(self.late(self.first(x.flatten(0, 1))))
        return self.head(self.line(x.flatten(2)).mT).unflatten(0, (-1, 2))


def test_inspect_lists_layers_in_order_with_reasons():
    layers = surgery.inspect(seeded(SmallResNet))
    assert [(layer.name, layer.kind, layer.left_alone) for layer in layers] == [
        ("stem", "conv2d", "the first convolution"),
        ("conv1", "conv2d", None),
        ("conv2", "conv2d", None),
        ("shortcut", "conv2d", "1x1 kernel"),
        ("head", "linear", "linear"),
    ]
    assert layers[2].weight_shape == (16, 8, 3, 5)
    assert [layer.parameters for layer in layers] == [8 * 27 + 8, 8 * 72, 16 * 120 + 16, 16 * 8 + 16, 5 * 17]
    assert all(layer.grids is None for layer in layers)


class Pair(nn.Conv2d):
    """Gives its output twice, as octave convolutions give one at each scale."""

    def forward(self, x):
        return super().forward(x), super().forward(x)


class Paired(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.pair = Pair(4, 4, 3)

    def forward(self, x):
        return torch.cat(self.pair(self.stem(x)), dim=1)


def test_where_a_layer_that_gives_no_tensor_is_applied_is_not_known():
    stem, pair = surgery.inspect(Paired(), (3, 8, 8))
    assert (stem.grids, pair.grids) == (((6, 6),), None)
    assert pair.left_alone is not None
    _, plan = convert(Paired(), mean_rank=1, example_input=(3, 8, 8))
    assert plan.totals.macs_dense is None


def test_inspect_can_take_the_first_and_skip_others():
    layers = named(surgery.inspect(seeded(SmallResNet), convert_first=True, skip=["conv*"]))
    assert layers["stem"].eligible
    assert layers["conv1"].left_alone == layers["conv2"].left_alone == "excluded by name"


@pytest.mark.parametrize("example", [torch.zeros(4, 3, 10, 8), (3, 10, 8)], ids=["batch", "shape"])
def test_an_example_gives_the_grids_of_one_sample(example):
    model = seeded(SmallResNet).train()
    layers = named(surgery.inspect(model, example))
    assert layers["conv1"].grids == ((10, 8),)
    assert layers["conv2"].grids == layers["shortcut"].grids == ((5, 4),)
    assert layers["head"].grids == ((1, 1),)
    assert model.training
    assert int(model.bn.num_batches_tracked) == 0


def test_grids_of_folded_transposed_and_unused_layers():
    layers = named(surgery.inspect(Folding(), torch.zeros(3, 2, 3, 8, 8)))
    assert layers["first"].grids == ((6, 6),) * 2
    assert layers["up"].grids == ((4, 4),) * 2, "a transposed convolution applies its weight at its input"
    assert layers["line"].grids == ((1, 62),) * 2
    assert layers["head"].grids == ((124, 1),)
    assert layers["unused"].grids == ()


def test_the_first_convolution_is_the_first_to_run_if_known_else_as_declared():
    declared = named(surgery.inspect(Folding()))
    run = named(surgery.inspect(Folding(), (2, 3, 8, 8)))
    assert declared["unused"].left_alone == "the first convolution"
    assert declared["first"].eligible
    assert run["first"].left_alone == "the first convolution"
    assert run["unused"].eligible


def test_inspect_finds_sharing():
    layers = named(surgery.inspect(seeded(Sharing), (3, 8, 8)))
    assert list(layers) == ["stem", "body", "strided", "head"]
    assert layers["body"].aliases == ("again",)
    assert layers["body"].grids == ((8, 8),) * 3
    assert layers["strided"].shares == "body"
    assert layers["strided"].parameters == 0
    assert layers["body"].shares is None


def test_a_weight_shared_with_an_excluded_layer_stays():
    layers = named(surgery.inspect(seeded(Sharing), skip=["strided"]))
    assert layers["body"].left_alone == "shares its weight with 'strided', which is not converted"


def test_a_single_layer_is_a_model():
    [layer] = surgery.inspect(nn.Conv2d(3, 4, 3), convert_first=True)
    assert (layer.name, layer.eligible) == ("", True)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
def test_models_that_cannot_be_inspected():
    with pytest.raises(ModelError, match="TorchScript"):
        surgery.inspect(torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 4, 4)))
    with pytest.raises(ModelError, match="not initialised"):
        surgery.inspect(nn.Sequential(nn.LazyConv2d(4, 3)))
    model = seeded(SmallResNet)
    with pytest.raises(ModelError, match=r"\(1, 4, 8, 8\)"):
        surgery.inspect(model, (4, 8, 8))
    assert not model.conv1._forward_hooks


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_name_the_layer(value):
    model = seeded(SmallResNet)
    model.conv2.weight.data[1, 2, 0, 3] = value
    with pytest.raises(NonFiniteWeights, match="conv2") as caught:
        convert(model, beta=0.1)
    assert caught.value.layer == "conv2"


def test_apply_leaves_the_original_and_keeps_everything_else():
    model = seeded(SmallResNet).train()
    model.conv2.eval()
    model.conv1.requires_grad_(False)
    before = copy.deepcopy(model)
    converted = surgery.apply(full_plan(model), model)
    assert type(model.conv1) is nn.Conv2d
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.state_dict().values(), strict=True)
    )
    assert isinstance(converted.conv1, GDWSConv2d)
    assert isinstance(converted.conv2, GDWSConv2d)
    assert converted.training
    assert not any(part.training for part in converted.conv2.modules())
    assert all(part.training for part in converted.conv1.modules())
    assert not any(parameter.requires_grad for parameter in converted.conv1.parameters())
    assert all(parameter.requires_grad for parameter in converted.conv2.parameters())
    assert converted.stem.weight is not model.stem.weight


def test_shared_layers_stay_shared():
    model = seeded(Sharing)
    converted = surgery.apply(full_plan(model), model)
    assert isinstance(converted.body, GDWSConv2d)
    assert converted.again is converted.body
    assert converted.strided is not converted.body
    assert converted.strided.pointwise.weight is converted.body.pointwise.weight
    assert converted.strided.stride == (2, 2)
    assert converted.strided.bias is None
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-5)


def test_factors_may_be_trained_after_conversion():
    model = seeded(SmallResNet)
    converted = surgery.apply(full_plan(model), model)
    optimizer = torch.optim.SGD(converted.parameters(), lr=0.1)
    before = converted.conv1.dense_weight().detach().clone()
    converted(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(converted.conv1.dense_weight(), before)


def test_the_model_may_be_one_layer():
    conv = nn.Conv2d(3, 4, 3)
    converted = surgery.apply(full_plan(conv, convert_first=True), conv)
    assert isinstance(converted, GDWSConv2d)
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(converted(x), conv(x), rtol=1e-4, atol=1e-5)


def test_a_converted_model_can_be_inspected_and_applied_to_again():
    model = seeded(SmallResNet)
    converted, plan = convert(model, mean_rank=2, example_input=(3, 8, 8))
    again, second = convert(converted, mean_rank=2, example_input=(3, 8, 8))
    assert not second.converted
    assert second.totals.macs_dense == plan.totals.macs_gdws
    assert second.totals.parameters_dense == plan.totals.parameters_gdws
    assert again is not converted


def conv_plan(name="conv1", shape=(8, 8, 3, 3), ranks=(1,) * 8, **changes):
    return LayerPlan(
        name=name, kind="conv2d", weight_shape=shape, parameters_dense=0, ranks=ranks, layout="gather", e2=0, energy=0,
        **changes,
    )  # fmt: skip


def test_a_plan_may_name_some_layers_only():
    converted = surgery.apply(Plan(layers=(conv_plan(),)), seeded(SmallResNet))
    assert isinstance(converted.conv1, GDWSConv2d)
    assert type(converted.conv2) is nn.Conv2d


def test_a_plan_may_use_another_name_of_a_layer():
    layers = (conv_plan("again", (6, 6, 3, 3), (1,) * 6), conv_plan("strided", (6, 6, 3, 3), (1,) * 6))
    assert isinstance(surgery.apply(Plan(layers=layers), seeded(Sharing)).body, GDWSConv2d)


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ([conv_plan("conv9")], "layers[0].name"),
        ([conv_plan(), conv_plan("conv2")], "layers[1].weight_shape"),
        ([conv_plan(), conv_plan("shortcut", (16, 8, 1, 1))], "layers[1].ranks"),
        (
            [LayerPlan(name="gone", kind="linear", weight_shape=(1, 1), parameters_dense=1, left_alone="linear")],
            "layers[0].name",
        ),
    ],
)
def test_a_plan_that_does_not_fit_names_the_field(layers, field):
    with pytest.raises(PlanError) as caught:
        surgery.apply(Plan(layers=tuple(layers)), seeded(SmallResNet))
    assert caught.value.field == field
    assert caught.value.hint


def shared_plan(name, rank):
    return conv_plan(name, (6, 6, 3, 3), (rank,) * 6)


@pytest.mark.parametrize(
    "layers",
    [
        [shared_plan("body", 1)],
        [shared_plan("strided", 1)],
        [shared_plan("body", 1), shared_plan("strided", 2)],
    ],
)
def test_layers_that_share_a_weight_are_planned_alike(layers):
    with pytest.raises(PlanError, match="share a weight"):
        surgery.apply(Plan(layers=tuple(layers)), seeded(Sharing))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_model_that_cannot_be_copied_is_an_error():
    model = seeded(SmallResNet)
    weight_norm(model.head)
    model(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ModelError, match="cannot be copied"):
        convert(model, beta=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_spectrum_of_a_layer_is_at_least_float32(dtype):
    model = seeded(SmallResNet).to(dtype)
    layer = named(surgery.inspect(model))["conv1"]
    values = surgery.spectrum(layer)
    assert values.weight.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    np.testing.assert_array_equal(
        values.weight, layer.module.weight.detach().double().numpy().astype(values.weight.dtype)
    )
