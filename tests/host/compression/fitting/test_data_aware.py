"""Data-aware conversion of whole networks."""

import pytest
import torch
from torch import nn

from gdws.compression import fitting as data_aware
from gdws.compression.layers import GDWSConv2d, to_dense
from gdws.errors import DataError, GdwsWarning, ModelError, PlanError
from gdws.planning.conversion import convert
from gdws_contract.plan import LAYOUTS, CalibrationSet, Plan
from support.networks import Sharing, SmallResNet, seeded


def images(count=40, seed=0, size=12):
    """Smooth images, so that neighbouring pixels are alike."""
    noise = torch.rand(count, 3, size // 3, size // 3, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(noise, scale_factor=3, mode="bilinear")


def relative_error(found, wanted):
    return float(((found - wanted).square().sum() / (wanted - wanted.mean(0)).square().sum()).detach())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("network", [SmallResNet, Sharing])
def test_full_rank_keeps_the_logits(network, layout):
    model, data = seeded(network), images()
    converted, plan = convert(model, mean_rank=100, layout=layout, data=data)
    assert plan.converted
    x = images(8, seed=1)
    # The ridges hold the weights a little below the best ones.
    assert relative_error(converted(x), model(x)) < 1e-3
    torch.testing.assert_close(to_dense(converted)(x), converted(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["gather", "stacked"])
def test_it_beats_the_weights_alone_at_the_same_ranks(layout):
    model, data, x = seeded(SmallResNet, width=16), images(120), images(40, seed=1)
    wanted = model(x)
    errors = {}
    for method, given in (("weights", {}), ("data-aware", {"data": data})):
        converted, plan = convert(model, mean_rank=1, layout=layout, **given)
        assert plan.method == method
        errors[method] = relative_error(converted(x), wanted)
    assert errors["data-aware"] < errors["weights"] / 4


def test_the_network_is_left_as_it_was():
    model = seeded(SmallResNet).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    converted, _ = convert(model, mean_rank=1, data=images())
    assert model.training
    assert converted.training
    assert model.conv1.bias is None
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_plan_counts_the_biases_that_are_added():
    model = seeded(SmallResNet)
    converted, plan = convert(model, mean_rank=2, data=images())
    assert [layer.name for layer in plan.layers if layer.bias_added] == ["conv1"]
    assert plan.totals.parameters_gdws == sum(parameter.numel() for parameter in converted.parameters())
    assert plan.input_shape == (3, 12, 12)
    assert plan.totals.macs_gdws is not None


def test_layers_that_share_a_weight_stay_one():
    model = seeded(Sharing)
    converted, plan = convert(model, mean_rank=2, data=images())
    assert isinstance(converted.body, GDWSConv2d)
    assert converted.body is converted.again
    assert converted.strided.pointwise.weight is converted.body.pointwise.weight
    assert {layer.name: layer.bias_added for layer in plan.converted} == {"body": False, "strided": True}


def test_a_stored_plan_gives_the_same_network_from_the_same_images():
    model, data = seeded(SmallResNet), images()
    converted, plan = convert(model, mean_rank=1.5, data=data)
    again, same = convert(model, plan=Plan.from_json(plan.to_json()), data=data)
    assert same == plan
    x = images(4, seed=1)
    torch.testing.assert_close(again(x), converted(x), rtol=1e-5, atol=1e-6)


def test_a_plan_and_its_images_belong_together():
    model, data = seeded(SmallResNet), images()
    _, plan = convert(model, mean_rank=1, data=data)
    assert plan.calibration == CalibrationSet(len(data), data_aware.identify(data).sha256)
    with pytest.raises(PlanError, match="fitted to data: 40 images"):
        convert(model, plan=plan)
    with pytest.raises(PlanError, match="other data"):
        convert(model, plan=plan, data=images(seed=9))
    _, from_weights = convert(model, mean_rank=1)
    with pytest.raises(PlanError, match="weights alone"):
        convert(model, plan=from_weights, data=data)


def test_plans_of_version_1_are_read():
    content = convert(seeded(SmallResNet), mean_rank=1)[1].to_dict()
    content["version"] = 1
    del content["calibration"]
    for layer in content["layers"]:
        del layer["bias_added"]
    assert Plan.from_dict(content).method == "weights"


def test_data_and_alphas_are_one_or_the_other():
    with pytest.raises(PlanError, match="weights of errors itself"):
        convert(seeded(SmallResNet), mean_rank=1, data=images(), alphas={})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (torch.zeros(40), "shape"),
        (torch.zeros(40, 3, 12, 12, dtype=torch.uint8), "uint8"),
        (torch.full((40, 3, 12, 12), float("nan")), "NaN"),
        (torch.zeros(9, 3, 12, 12), "9 calibration images"),
        (torch.rand(1, 3, 12, 12).expand(40, -1, -1, -1), "all the same"),
    ],
)
def test_images_that_will_not_do(data, problem):
    with pytest.raises(DataError, match=problem):
        convert(seeded(SmallResNet), mean_rank=1, data=data)


def test_images_of_the_wrong_shape():
    with pytest.raises(ModelError, match="does not run"):
        convert(seeded(SmallResNet), mean_rank=1, data=torch.rand(20, 5, 12, 12))


def test_too_few_images_for_the_ranks():
    """558 components, of which each image that they are fitted to, four in five, has nine patches."""
    network = seeded(SmallResNet, width=64)
    with pytest.raises(
        DataError, match="layer 'conv1' has 558 components, and an image has only 9 patches for it"
    ) as caught:
        convert(network, mean_rank=9, data=images(77, size=3), skip="conv2")
    assert "at least 78 calibration images, preferably 775" in str(caught.value.hint)
    with pytest.warns(GdwsWarning, match="78 calibration images are few for 1 of 1 layers"):
        convert(network, mean_rank=9, data=images(78, size=3), skip="conv2")


def test_a_layer_whose_input_is_constant():
    class Constant(SmallResNet):
        def forward(self, x):
            x = torch.ones_like(self.stem(x))
            return self.head(torch.relu(self.conv2(torch.relu(self.bn(self.conv1(x))))).mean(dim=(2, 3)))

    model = seeded(Constant)
    x = images(8, seed=1)
    for options in ({"mean_rank": 1}, {"mean_rank": 1, "layout": "stacked"}, {"mac_saving": 3}):
        converted, _ = convert(model, data=images(), **options)
        # What never varies goes into the biases, whatever becomes of the weights.
        torch.testing.assert_close(converted(x), model(x), rtol=1e-2, atol=1e-3)


def test_without_components_layers_are_their_mean():
    model, x = seeded(SmallResNet), images(60)
    converted, plan = convert(model, mean_rank=0, data=x)
    assert [layer.components for layer in plan.converted] == [0, 0]
    outputs = {}
    for name, network in (("dense", model), ("mean", converted)):
        hook = network.conv2.register_forward_hook(lambda *call, name=name: outputs.update({name: call[-1]}))
        network(x)
        hook.remove()
    torch.testing.assert_close(outputs["mean"].mean((0, 2, 3)), outputs["dense"].mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_a_channel_that_is_dead_gets_no_component():
    class Dead(SmallResNet):
        def forward(self, x):
            x = torch.relu(self.stem(x)) * (torch.arange(8) != 2)[:, None, None]
            y = torch.relu(self.bn(self.conv1(x)))
            return self.head(torch.relu(self.conv2(y) + self.shortcut(x)).mean(dim=(2, 3)))

    model = seeded(Dead)
    for options in ({"mean_rank": 9}, {"mac_saving": 2.5}):
        converted, plan = convert(model, data=images(), **options)
        [ranks] = [layer.ranks for layer in plan.converted if layer.name == "conv1"]
        assert ranks[2] == 0
        assert sum(ranks) > 0
        assert torch.isfinite(converted(images(8, seed=1))).all()


def test_one_bound_on_macs_for_the_whole_network():
    model, data, x = seeded(SmallResNet, width=16), images(120), images(40, seed=1)
    wanted = model(x)
    converted, plan = convert(model, mac_saving=2, data=data)
    assert plan.totals.macs_dense >= 2 * plan.totals.macs_gdws
    by_weights, _ = convert(model, mac_saving=2, example_input=x)
    assert relative_error(converted(x), wanted) < relative_error(by_weights(x), wanted) / 4
    again, _ = convert(model, plan=Plan.from_json(plan.to_json()), data=data)
    torch.testing.assert_close(again(x), converted(x), rtol=1e-5, atol=1e-6)


def test_a_layer_that_never_runs_is_converted_by_its_weights():
    class Unused(SmallResNet):
        def __init__(self):
            super().__init__()
            self.spare = nn.Conv2d(4, 4, 3)

    converted, plan = convert(seeded(Unused), mean_rank=100, data=images())
    spare = next(layer for layer in plan.layers if layer.name == "spare")
    assert not spare.bias_added
    weight = converted.spare.dense_weight()
    torch.testing.assert_close(weight, seeded(Unused).spare.weight, rtol=1e-4, atol=1e-5)


def test_no_layer_to_convert():
    model = seeded(SmallResNet)
    converted, plan = convert(model, mean_rank=1, skip=["conv*"], data=images())
    assert not plan.converted
    x = images(2)
    torch.testing.assert_close(converted(x), model(x))


def test_progress_is_told():
    class Told:
        def __init__(self):
            self.total, self.done = 0, []

        def start(self, total, description):
            self.total = total

        def advance(self, n=1, **figures):
            self.done.append(figures["layer"])

    told = Told()
    convert(seeded(SmallResNet), mean_rank=1, data=images(), progress=told)
    assert told.total == 2
    assert told.done == ["conv1", "conv2"]
