"""Networks whose code does not let a convolution be replaced."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from gdws.compression import surgery
from gdws.compression.full_rank import differing, full_rank
from gdws.compression.layers import GDWSConv2d
from gdws.errors import PlanError
from gdws.planning.conversion import convert
from support.networks import Sharing, SmallResNet, seeded

SHAPE = (3, 10, 8)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.body = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def middle(self, x):
        return self.body(x)

    def forward(self, x):
        x = torch.relu(self.middle(torch.relu(self.stem(x))))
        return self.head(torch.relu(self.last(x)).mean((2, 3)))


class ReadsDtype(Plain):
    def middle(self, x):
        return self.body(x.to(self.body.weight.dtype))


class ReadsGroups(Plain):
    def middle(self, x):
        return self.body(x) / self.body.groups


class Functional(Plain):
    def middle(self, x):
        return functional.conv2d(x, self.body.weight, self.body.bias, padding=1)


class TiedByCode(Plain):
    def middle(self, x):
        return functional.conv_transpose2d(self.body(x), self.body.weight, padding=1)


class OwnForward(Plain):
    def middle(self, x):
        return self.body._conv_forward(x, 2 * self.body.weight, None)


class ByType(Plain):
    def middle(self, x):
        return self.body(x) if isinstance(self.body, nn.Conv2d) else x


class WithDefault(Plain):
    def middle(self, x):
        weight = getattr(self.body, "weight", None)
        return self.body(x) if weight is None else self.body(x) / weight.norm()


class Watched(Plain):
    """A forward hook of the network reads the weight."""

    def __init__(self):
        super().__init__()
        self.register_forward_hook(lambda module, _, output: output + module.body.weight.mean())


class InAList(Plain):
    """The convolution is called by a reference that surgery does not reach."""

    def __init__(self):
        super().__init__()
        self.steps = [self.body]

    def middle(self, x):
        for step in self.steps:
            x = step(x)
        return x


class InAClosure(Plain):
    def __init__(self):
        super().__init__()
        self.step = lambda x: self.body(x)

    def middle(self, x):
        return self.step(x)


class Alike(Plain):
    """Nothing is wrong until both convolutions are replaced."""

    def middle(self, x):
        if isinstance(self.body, GDWSConv2d) and isinstance(self.last, GDWSConv2d):
            return 2 * self.body(x)
        return self.body(x)


RUN = [
    ReadsDtype,
    ReadsGroups,
    Functional,
    TiedByCode,
    OwnForward,
    ByType,
    WithDefault,
    Watched,
    InAList,
    InAClosure,
]
#: What is found without an input too: the closure of a copy calls the layers of the network itself.
GUESSED = [network for network in RUN if network is not InAClosure]
#: What tracing finds: it does not run hooks.
TRACED = [ReadsGroups, Functional, TiedByCode, OwnForward, ByType, WithDefault]


@pytest.mark.parametrize(
    ("network", "example"),
    [*((network, SHAPE) for network in RUN), *((network, None) for network in GUESSED)],
)
def test_a_layer_that_cannot_be_replaced_stays_with_the_reason(network, example):
    model, x = seeded(network), torch.rand(4, *SHAPE)
    with torch.no_grad():
        wanted = model(x)
        converted, plan = convert(model, mean_rank=9, example_input=example)
        torch.testing.assert_close(converted(x), wanted, rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in plan.converted] == ["last"]
    [reason] = [layer.left_alone for layer in plan.layers if layer.name == "body"]
    assert reason.startswith("the network's ")


@pytest.mark.parametrize("network", TRACED)
def test_code_that_runs_on_no_common_size_is_traced(network):
    class Narrow(network):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3, *SHAPE[1:]))

        def forward(self, x):
            return super().forward(x * self.scale)

    model, x = seeded(Narrow), torch.rand(2, *SHAPE)
    converted, plan = convert(model, mean_rank=9)
    assert [layer.name for layer in plan.converted] == ["last"]
    torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-5)


def test_a_layer_whose_method_is_stored_elsewhere_stays_dense():
    network = seeded(Plain)
    network.middle = network.body.forward
    _, plan = convert(network, mean_rank=1, example_input=SHAPE)
    assert [layer.name for layer in plan.converted] == ["last"]


@pytest.mark.parametrize("example", [SHAPE, None, torch.zeros(2, *SHAPE)], ids=["shape", "none", "zeros"])
def test_layers_that_break_only_together(example):
    model, x = seeded(Alike), torch.rand(4, *SHAPE)
    converted, plan = convert(model, mean_rank=9, example_input=example)
    assert len(plan.converted) == 1
    torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", [Plain, SmallResNet, Sharing])
@pytest.mark.parametrize("example", [SHAPE, None], ids=["shape", "none"])
def test_plain_networks_are_converted_whole(network, example):
    layers = surgery.inspect(seeded(network), example)
    model = seeded(network)
    sample = None if example is None else surgery.sample(model, example)
    assert differing(model, [layer for layer in layers if layer.eligible], sample) == {}


def test_layers_of_one_weight_stay_together():
    class Reads(Sharing):
        def forward(self, x):
            return super().forward(x) * self.strided.groups

    _, plan = convert(seeded(Reads), mean_rank=9, example_input=(3, 8, 8))
    assert not plan.converted


def test_what_the_outputs_hide_is_seen_inside():
    class Silent(WithDefault):
        def __init__(self):
            super().__init__()
            nn.init.zeros_(self.head.weight)

    for example in (SHAPE, None):
        _, plan = convert(seeded(Silent), mean_rank=9, example_input=example)
        assert [layer.name for layer in plan.converted] == ["last"]


def test_only_the_culprits_are_left_alone_among_many():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(12))

        def forward(self, x):
            for index, layer in enumerate(self.layers):
                x = layer(x) if index not in (3, 7) else layer(x) * layer.weight.numel() / 81
            return x.mean((2, 3))

    _, plan = convert(seeded(Deep), mean_rank=9, convert_first=True, example_input=SHAPE)
    assert [layer.name for layer in plan.layers if not layer.converted] == ["layers.3", "layers.7"]


def test_rounding_alone_leaves_nothing_alone():
    """A network that turns the last bits of float32 into the third digit."""

    class Chaotic(Plain):
        def middle(self, x):
            x = self.body(x)
            for _ in range(14):
                x = 3.9 * x.sigmoid() * (1 - x.sigmoid())
                x = 4 * (x - x.floor()) - 2
            return x

    _, plan = convert(seeded(Chaotic), mean_rank=9, example_input=SHAPE)
    assert len(plan.converted) == 2


def test_random_networks_are_compared_on_the_same_numbers():
    class Noisy(Plain):
        def middle(self, x):
            return self.body(x) + torch.randn_like(x)

    model = seeded(Noisy)
    layers = [layer for layer in surgery.inspect(model) if layer.eligible]
    state = torch.random.get_rng_state()
    assert differing(model, layers, torch.rand(1, *SHAPE, generator=torch.Generator())) == {}
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_plan_is_checked_against_the_networks_code():
    _, plan = convert(seeded(Plain), mean_rank=9, example_input=SHAPE)
    with pytest.raises(PlanError, match=r"layers\[1\].ranks: 'body' cannot be converted: the network's code") as caught:
        convert(seeded(ReadsGroups), plan=plan)
    assert caught.value.field == "layers[1].ranks"


def test_code_that_can_neither_be_run_nor_traced_is_not_known_without_an_input():
    class Particular(ReadsGroups):
        def forward(self, x):
            if x.shape[1:] != SHAPE:
                raise ValueError("another size")
            return super().forward(x)

    model = seeded(Particular)
    assert len(convert(model, mean_rank=9)[1].converted) == 2
    assert len(convert(model, mean_rank=9, example_input=SHAPE)[1].converted) == 1


def test_a_network_is_not_changed_by_a_run_that_was_not_asked_for():
    class Counting(Plain):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def middle(self, x):
            self.calls += 1
            return self.body(x)

    model = seeded(Counting)
    convert(model, mean_rank=9)
    assert model.calls == 0


def test_outputs_of_any_kind_are_compared():
    class Many(Plain):
        def forward(self, x):
            y = super().forward(x)
            return {"logits": y, "others": [(y, None), self.body.groups * y]}

    _, plan = convert(seeded(Many), mean_rank=9, example_input=SHAPE)
    assert [layer.name for layer in plan.converted] == ["last"]


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"stride": 2, "padding": (1, 2)}, {"padding": "same", "dilation": 2}],
)
def test_the_full_rank_form_is_the_layer(options):
    conv = nn.Conv2d(4, 6, (3, 5), **options, dtype=torch.float64)
    x = torch.rand(2, 4, 12, 13, dtype=torch.float64)
    torch.testing.assert_close(full_rank(conv)(x), conv(x))


def test_the_network_is_left_as_it_was():
    model = seeded(ReadsDtype).train()
    before = copy.deepcopy(model.state_dict())
    modules = list(model.modules())
    convert(model, mean_rank=1, example_input=SHAPE)
    assert model.training
    assert list(map(id, modules)) == list(map(id, model.modules()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
