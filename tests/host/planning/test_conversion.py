import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import gdws
from gdws.compression.fitting import Calibration
from gdws.compression.layers import GDWSConv2d, to_dense
from gdws.errors import ModelError, PlanError
from gdws.networks import zoo as nets
from gdws.planning import budget
from gdws.planning.conversion import convert
from gdws_contract.plan import LAYOUTS, Plan
from support.networks import Sharing, SmallResNet, seeded


def planned(plan):
    return {layer.name: layer for layer in plan.layers}


def relative_difference(one, other):
    return float(((one - other).abs().max() / other.abs().max()).detach())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("network", [SmallResNet, Sharing])
def test_full_rank_keeps_the_logits(network, layout):
    model = seeded(network)
    converted, plan = convert(model, mean_rank=100, layout=layout)
    assert plan.converted
    assert all(layer.layout == layout for layer in plan.converted)
    x = torch.randn(4, 3, 12, 12)
    assert relative_difference(converted(x), model(x)) < 1e-4
    assert relative_difference(to_dense(converted)(x), model(x)) < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_rank_keeps_the_logits_of_preact_resnet18(layout):
    model = nets.build("preact-resnet18").eval()
    converted, plan = convert(model, mean_rank=9, layout=layout, example_input=(3, 32, 32))
    assert len(plan.converted) == 16
    assert all(set(layer.ranks) == {9} for layer in plan.converted)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert relative_difference(converted(x), model(x)) < 1e-4
    totals = plan.totals
    assert totals.parameters_dense == 11_172_170
    assert totals.parameters_gdws == sum(parameter.numel() for parameter in converted.parameters())
    assert totals.macs_dense == pytest.approx(0.555e9, rel=0.01)


def test_beta_zero_is_lossless():
    model = seeded(SmallResNet)
    converted, plan = convert(model, beta=0)
    assert all(layer.e2 == 0 for layer in plan.converted)
    x = torch.randn(4, 3, 12, 12)
    assert relative_difference(converted(x), model(x)) < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_beta_bounds_the_error_of_each_layer(layout):
    model = seeded(SmallResNet)
    converted, plan = convert(model, beta=0.3, layout=layout, convert_first=True)
    layers = planned(plan)
    assert {name for name, layer in layers.items() if layer.converted} == {"stem", "conv1", "conv2"}
    for name in ("stem", "conv1", "conv2"):
        change = (model.get_submodule(name).weight - converted.get_submodule(name).dense_weight()).detach()
        assert layers[name].e2 <= 0.3
        assert float(change.square().sum()) == pytest.approx(layers[name].e2, rel=1e-4, abs=1e-9)
        assert float(model.get_submodule(name).weight.detach().square().sum()) == pytest.approx(
            layers[name].energy, rel=1e-5
        )


def test_gamma_bounds_the_components_of_each_layer():
    plan = convert(seeded(SmallResNet), gamma=20)[1]
    assert [layer.components for layer in plan.converted] == [20, 20]
    equal = convert(seeded(SmallResNet), gamma=20, layout="stacked")[1]
    assert [layer.ranks for layer in equal.converted] == [(2,) * 8, (2,) * 8]


def test_mean_rank_sets_the_components_by_channels():
    plan = convert(seeded(SmallResNet), mean_rank=2.3)[1]
    assert [layer.components for layer in plan.converted] == [18, 18]
    equal = convert(seeded(SmallResNet), mean_rank=2.3, layout="grouped")[1]
    assert [layer.mean_rank for layer in equal.converted] == [2, 2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_budget_bounds_the_sum_of_errors_of_the_whole_network(layout):
    model = seeded(SmallResNet)
    plan = convert(model, budget=2.0, layout=layout)[1]
    assert 1.0 < plan.totals.e2 <= 2.0
    assert (plan.constraint, plan.budget) == ("budget", 2.0)
    assert "budget = 2, without alphas" in str(plan)
    assert Plan.from_json(plan.to_json()) == plan


def test_one_budget_needs_fewer_components_than_the_same_sum_of_betas():
    model = seeded(SmallResNet)
    model.conv1.weight.data *= 0.1  # little to lose in this layer
    by_layer = convert(model, beta=0.5)[1]
    together = convert(model, budget=1.0)[1]
    assert by_layer.totals.e2 <= together.totals.e2 <= 1.0
    assert sum(layer.components for layer in together.converted) < sum(layer.components for layer in by_layer.converted)


def test_a_shared_weight_counts_once_in_the_sum_of_errors():
    plan = convert(seeded(Sharing), budget=1.5)[1]
    layers = planned(plan)
    assert layers["body"].ranks == layers["strided"].ranks
    assert plan.totals.e2 == layers["body"].e2 <= 1.5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mac_saving_bounds_the_macs_of_the_whole_network(layout):
    model = seeded(SmallResNet)
    converted, plan = convert(model, mac_saving=1.5, layout=layout, example_input=(3, 12, 12))
    totals = plan.totals
    assert 1.5 * totals.macs_gdws <= totals.macs_dense < 2 * totals.macs_gdws
    assert {layer.layout for layer in plan.converted} == {layout}
    assert (plan.constraint, plan.budget) == ("mac_saving", 1.5)
    assert "mac_saving = 1.5, without alphas" in str(plan)
    assert Plan.from_json(plan.to_json()) == plan
    assert converted(torch.randn(2, 3, 12, 12)).shape == (2, 5)


def test_a_layer_that_needs_its_macs_stays_dense():
    model = seeded(SmallResNet)
    model.conv1.weight.data *= 100
    converted, plan = convert(model, mac_saving=1.2, example_input=(3, 12, 12))
    assert planned(plan)["conv1"].left_alone == "worth its dense MACs"
    assert torch.equal(converted.conv1.weight, model.conv1.weight)
    assert [layer.name for layer in plan.converted] == ["conv2"]


def test_a_mac_saving_of_1_leaves_the_network_as_it_is():
    model = seeded(SmallResNet)
    converted, plan = convert(model, mac_saving=1, example_input=(3, 12, 12))
    assert not plan.converted
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(converted(x), model(x))


def test_a_shared_weight_pays_its_macs_at_each_call():
    plan = convert(seeded(Sharing), mac_saving=3, example_input=(3, 9, 9))[1]
    layers = planned(plan)
    assert layers["strided"].ranks == layers["body"].ranks
    assert plan.totals.macs_dense >= 3 * plan.totals.macs_gdws


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mac_saving": 100.0, "example_input": (3, 12, 12)}, "cannot be reduced to 100 times fewer MACs"),
        ({"mac_saving": 0.5, "example_input": (3, 12, 12)}, "at least 1, got 0.5"),
        ({"mac_saving": float("nan"), "example_input": (3, 12, 12)}, "at least 1, got nan"),
        ({"mac_saving": 2.0}, "the MACs are unknown"),
    ],
)
def test_mac_savings_that_cannot_be(options, problem):
    with pytest.raises(PlanError, match=problem):
        convert(seeded(SmallResNet), **options)


@pytest.mark.parametrize("layout", ["gather", "stacked"])
def test_the_largest_mac_saving_is_told_before_errors_are_looked_for(layout, monkeypatch):
    given = {"layout": layout, "data": torch.rand(12, 3, 12, 12)}
    with monkeypatch.context() as patch:
        patch.setattr(Calibration, "sensitivities", lambda *arguments, **options: pytest.fail("errors were looked for"))
        with pytest.raises(PlanError, match=r"[\d.]+ is the most") as caught:
            convert(seeded(SmallResNet), mac_saving=100.0, **given)
    most = float(re.search(r"([\d.]+) is the most", str(caught.value))[1])
    _, plan = convert(seeded(SmallResNet), mac_saving=most, **given)
    assert most <= plan.totals.macs_dense / plan.totals.macs_gdws < most + 0.01
    with pytest.raises(PlanError, match="cannot be reduced"):
        convert(seeded(SmallResNet), mac_saving=most + 0.01, **given)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_equal_ranks_are_the_same_in_every_layer_and_layout(layout):
    converted, plan = convert(seeded(SmallResNet), equal_rank=2, layout=layout)
    assert [layer.ranks for layer in plan.converted] == [(2,) * 8, (2,) * 8]
    assert (plan.constraint, plan.budget) == ("equal_rank", 2)
    by_mean = convert(seeded(SmallResNet), mean_rank=2)[1]
    assert plan.totals.e2 >= by_mean.totals.e2
    assert converted(torch.randn(2, 3, 12, 12)).shape == (2, 5)


def test_more_components_come_closer():
    model = seeded(SmallResNet)
    x = torch.randn(8, 3, 12, 12)
    errors = [planned(convert(model, mean_rank=rank)[1])["conv1"].e2 for rank in range(10)]
    assert errors == sorted(errors, reverse=True)
    far, near = (relative_difference(convert(model, mean_rank=rank)[0](x), model(x)) for rank in (1, 7))
    assert near < far


def test_figures_of_the_plan_are_those_of_the_network():
    model = seeded(SmallResNet)
    converted, plan = convert(model, mean_rank=1.5, example_input=(3, 12, 12))
    assert plan.totals.parameters_dense == sum(parameter.numel() for parameter in model.parameters())
    assert plan.totals.parameters_gdws == sum(parameter.numel() for parameter in converted.parameters())
    assert plan.input_shape == (3, 12, 12)
    assert plan.totals.macs_dense == 144 * (216 + 576) + 36 * (16 * 8 * 15 + 16 * 8) + 80
    assert (plan.constraint, plan.budget, plan.weighted) == ("mean_rank", 1.5, False)


def test_shared_weights_count_once_in_parameters_and_each_time_in_macs():
    model = seeded(Sharing)
    converted, plan = convert(model, mean_rank=2, example_input=torch.zeros(1, 3, 9, 9))
    assert plan.totals.parameters_dense == sum(parameter.numel() for parameter in model.parameters())
    assert plan.totals.parameters_gdws == sum(parameter.numel() for parameter in converted.parameters())
    layers = planned(plan)
    assert layers["body"].macs_dense == 3 * 81 * 6 * 6 * 9
    assert layers["strided"].ranks == layers["body"].ranks


def test_alphas_weigh_the_channels():
    model = seeded(SmallResNet)
    ones = {"conv1": np.ones(8), "conv2": np.ones(8)}
    alphas = {"conv1": np.array([1e6, *[1.0] * 7]), "conv2": np.ones(8)}
    plain, weighted = (convert(model, gamma=12, alphas=value)[1] for value in (ones, alphas))
    assert planned(weighted)["conv1"].ranks[0] == 8
    assert planned(plain)["conv1"].ranks[0] < 8
    assert planned(plain)["conv2"] == planned(weighted)["conv2"]
    assert plain.weighted
    assert planned(plain)["conv1"].ranks == planned(convert(model, gamma=12)[1])["conv1"].ranks


def test_alphas_of_a_shared_weight_are_those_of_its_first_layer():
    plan = convert(seeded(Sharing), gamma=9, alphas={"body": [1, 1, 1, 9e9, 1, 1]})[1]
    assert planned(plan)["strided"].ranks == planned(plan)["body"].ranks
    assert planned(plan)["body"].ranks[3] == 6


def test_a_plan_is_followed():
    model = seeded(SmallResNet)
    first, plan = convert(model, mean_rank=2, layout="stacked")
    second, same = convert(model, plan=Plan.from_json(plan.to_json()))
    assert same == plan
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(first(x), second(x), rtol=0, atol=0)


def test_conversion_is_deterministic_and_draws_no_random_numbers():
    model = seeded(SmallResNet)
    state = torch.get_rng_state()
    (one, first), (two, second) = (convert(model, mean_rank=2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_dead_channels_get_no_components():
    model = seeded(SmallResNet)
    model.conv1.weight.data[:, [2, 5]] = 0
    converted, plan = convert(model, beta=0)
    assert [planned(plan)["conv1"].ranks[channel] for channel in (2, 5)] == [0, 0]
    x = torch.randn(2, 3, 12, 12)
    assert relative_difference(converted(x), model(x)) < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layer_without_components_becomes_its_bias(layout):
    model = seeded(SmallResNet)
    converted, plan = convert(model, gamma=0, layout=layout, example_input=(3, 12, 12))
    expected = model.conv2.bias[None, :, None, None].expand(2, -1, 6, 6)
    torch.testing.assert_close(converted.conv2(torch.randn(2, 8, 12, 12)), expected)
    assert converted(torch.randn(2, 3, 12, 12)).shape == (2, 5)
    assert planned(plan)["conv2"].macs_gdws == 0
    assert planned(plan)["conv2"].e2 == planned(plan)["conv2"].energy


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_are_kept_and_decomposed_in_float32_or_better(dtype):
    model = seeded(SmallResNet)
    narrow = seeded(SmallResNet).to(dtype)
    converted, plan = convert(narrow, mean_rank=100)
    assert {parameter.dtype for parameter in converted.parameters()} == {dtype}
    weight = narrow.conv1.weight.double()
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float64: 1e-6}[dtype]
    assert relative_difference(converted.conv1.dense_weight().double(), weight) < tolerance
    assert planned(plan)["conv1"].energy == pytest.approx(planned(convert(model, beta=0)[1])["conv1"].energy, rel=1e-2)


@pytest.mark.parametrize(
    "model",
    [nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)), nn.Linear(4, 2), nn.ReLU()],
    ids=["nothing eligible", "no convolution", "no weight"],
)
def test_a_model_without_an_eligible_layer_is_copied_and_the_plan_tells_why(model):
    converted, plan = convert(model, beta=0.1)
    assert converted is not model
    assert type(converted) is type(model)
    assert not plan.converted
    assert all(layer.left_alone for layer in plan.layers)
    assert "no layer can be converted" in str(plan)


@pytest.mark.parametrize("kind", budget.KINDS.values(), ids=budget.KINDS)
def test_a_budget_and_its_keyword_give_the_same_plan(kind):
    model = seeded(SmallResNet)
    plan = convert(model, kind(2), example_input=(3, 12, 12))[1]
    assert plan == convert(model, **{kind.kind: 2}, example_input=(3, 12, 12))[1]
    assert (plan.constraint, plan.budget) == (kind.kind, 2.0)


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'mean_ranks'"):
        convert(seeded(SmallResNet), mean_ranks=2)


def test_budgets_of_numpy_go_into_json():
    plan = convert(seeded(SmallResNet), gamma=np.int64(9))[1]
    assert Plan.from_json(plan.to_json()) == plan


def test_a_skip_may_be_one_name():
    assert planned(convert(seeded(SmallResNet), beta=0, skip="conv2")[1])["conv2"].left_alone == "excluded by name"


def test_first_and_skipped_layers():
    model = seeded(SmallResNet)
    converted, plan = convert(model, mean_rank=1, convert_first=True, skip=["conv2"])
    assert isinstance(converted.stem, GDWSConv2d)
    assert type(converted.conv2) is nn.Conv2d
    assert planned(plan)["conv2"].left_alone == "excluded by name"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one"),
        ({"beta": 1, "gamma": 1}, "exactly one"),
        ({"plan": Plan(layers=()), "mean_rank": 1}, "exactly one.* got plan, mean_rank"),
        ({"beta": 1, "budget": 1}, "exactly one.* got budget, beta"),
        ({"budget": -1}, "budget"),
        ({"equal_rank": -1}, "equal_rank"),
        ({"budget": 1, "alphas": {"conv1": np.ones(7), "conv2": np.ones(8)}}, "layer 'conv1': alphas: expected shape"),
        ({"equal_rank": 1, "alphas": {"conv1": np.ones(7), "conv2": np.ones(8)}}, "layer 'conv1': alphas"),
        ({"plan": Plan(layers=()), "layout": "stacked"}, "a plan already defines"),
        ({"plan": Plan(layers=()), "skip": ["conv1"]}, "a plan already defines"),
        ({"beta": 1, "layout": "diagonal"}, "unknown layout"),
        ({"beta": -1}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"gamma": -3}, "gamma"),
        ({"mean_rank": float("inf")}, "mean_rank"),
        ({"beta": 1, "alphas": {"conv1": np.ones(8)}}, "none for layer 'conv2'"),
        ({"beta": 1, "alphas": {"conv1": np.ones(7), "conv2": np.ones(8)}}, "alphas: expected shape"),
        ({"beta": 1, "alphas": {"conv1": -np.ones(8), "conv2": np.ones(8)}}, "at least 0"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(PlanError, match=message):
        convert(seeded(SmallResNet), **arguments)


def test_a_skip_that_matches_nothing_is_an_error():
    with pytest.raises(ModelError, match="conv9"):
        convert(seeded(SmallResNet), beta=1, skip=["conv9"])


def test_the_public_face_is_complete():
    for name in gdws.__all__:
        assert getattr(gdws, name) is not None
    assert gdws.convert is convert
    with pytest.raises(AttributeError, match="nothing"):
        _ = gdws.nothing


def test_plans_need_no_torch():
    code = "import sys, gdws; gdws.Plan(layers=()).to_json(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
