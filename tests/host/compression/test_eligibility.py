import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import prune

from gdws.compression import surgery
from gdws.compression.calibration import alphas as calibrate
from gdws.compression.eligibility import FOREIGN, matching, sharing_reasons, structural_reason, weight_holders
from gdws.errors import ExportError, ModelError
from gdws.evaluation.evaluate import evaluate
from gdws.networks.slimming import slim
from gdws.networks.sources import Source
from gdws.onnx_io.export import export
from gdws.pipeline import convert_all
from gdws.planning.conversion import convert
from gdws_contract.plan import Plan
from support.networks import SmallResNet, seeded


class Scaled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked(register):
    conv = nn.Conv2d(4, 4, 3)
    getattr(conv, register)(lambda *_: None)
    return conv


def with_own_forward():
    conv = nn.Conv2d(4, 4, 3)
    conv.forward = lambda x: x
    return conv


REFUSED = {
    "linear": (lambda: nn.Linear(4, 4), "linear"),
    "transposed": (lambda: nn.ConvTranspose2d(4, 4, 3), "transposed"),
    "1D of one tap": (lambda: nn.Conv1d(4, 4, 1), "1x1 kernel"),
    "3D": (lambda: nn.Conv3d(4, 4, 3), "3D"),
    "1D transposed": (lambda: nn.ConvTranspose1d(4, 4, 3), "transposed"),
    "subclass": (lambda: Scaled(4, 4, 3), "Scaled"),
    "forward replaced": (with_own_forward, "not a plain convolution"),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), "depthwise"),
    "grouped": (lambda: nn.Conv2d(4, 4, 3, groups=2), "grouped"),
    "1x1": (lambda: nn.Conv2d(4, 4, 1, padding=1), "1x1"),
    "complex": (lambda: nn.Conv2d(4, 4, 3, dtype=torch.complex64), "not real"),
    "forward hook": (lambda: hooked("register_forward_hook"), "hooks"),
    "forward pre-hook": (lambda: hooked("register_forward_pre_hook"), "hooks"),
    "backward hook": (lambda: hooked("register_full_backward_hook"), "hooks"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_layers_that_stay_as_they_are(make, reason):
    assert reason in structural_reason(make())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"stride": 2, "padding": "valid"},
        {"padding": "same", "dilation": 2},
        {"padding": 1, "padding_mode": "circular"},
        {"dtype": torch.bfloat16},
    ],
    ids=str,
)
@pytest.mark.parametrize("kernel", [3, (1, 3), (5, 2)])
def test_plain_convolutions_can_be_converted(kernel, options):
    assert structural_reason(nn.Conv2d(4, 2, kernel, **options)) is None


def test_pruning_made_permanent_can_be_converted():
    conv = prune.l1_unstructured(nn.Conv2d(4, 4, 3), "weight", 0.5)
    assert structural_reason(prune.remove(conv, "weight")) is None


NAMES = [["stem"], ["layer1.0.conv1", "twin"], ["layer1.1.conv1"], ["layer10.0.conv1"]]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], set()),
        (["stem"], {0}),
        (["layer1"], {1, 2}),
        (["layer1.0"], {1}),
        (["layer1*"], {1, 2, 3}),
        (["*.conv1"], {1, 2, 3}),
        (["layer?.1.conv1", "stem"], {0, 2}),
        (["twin"], {1}),
    ],
    ids=str,
)
def test_patterns_stand_for_layers_and_containers(patterns, expected):
    assert matching(NAMES, patterns) == expected


@pytest.mark.parametrize("pattern", ["layer2", "Stem", "conv1", ""])
def test_a_pattern_that_matches_nothing_is_an_error(pattern):
    with pytest.raises(ModelError, match="no layer matches") as caught:
        matching(NAMES, [pattern])
    assert "layer1.0.conv1" in caught.value.hint


def test_holders_of_a_weight_are_found():
    one, two, other = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)
    two.weight = one.weight
    foreign = nn.Module()
    foreign.table = other.weight
    holders = weight_holders(nn.ModuleList([one, two, other, foreign]), [one, two, other])
    assert holders[id(one.weight)] == [0, 1]
    assert holders[id(other.weight)] == [2, FOREIGN]


def test_a_weight_shared_with_one_that_stays_makes_all_stay():
    reasons = sharing_reasons(
        {1: [0, 1], 2: [2, 3], 3: [4, FOREIGN], 4: [5]}, [None] * 3 + ["why"] + [None] * 2, "abcdef"
    )
    assert reasons[:2] == [None, None]
    assert reasons[2] == "shares its weight with 'd', which is not converted"
    assert reasons[3] == "why"
    assert "another module" in reasons[4]
    assert reasons[5] is None


def on_meta(model):
    return model.to("meta")


def partly_on_meta(model):
    model.conv2.to("meta")
    return model


def with_sparse_weight(model):
    model.conv1.weight = nn.Parameter(model.conv1.weight.detach().to_sparse())
    return model


def with_statistics_on_meta(model):
    model.bn.running_mean = model.bn.running_mean.to("meta")
    return model


def fake(model):
    with FakeTensorMode():
        return seeded(SmallResNet)


IMAGES = torch.rand(12, 3, 10, 8)
USERS = {
    "convert": lambda model: convert(model, mean_rank=1),
    "convert with an input": lambda model: convert(model, mean_rank=1, example_input=(3, 10, 8)),
    "convert by a plan": lambda model: convert(model, plan=Plan(layers=())),
    "data-aware": lambda model: convert(model, mean_rank=1, data=IMAGES),
    "apply": lambda model: surgery.apply(Plan(layers=()), model),
    "alphas": lambda model: calibrate.alphas(model, [IMAGES]),
    "evaluate": lambda model: evaluate(model, IMAGES, torch.zeros(12, dtype=torch.int64)),
    "export": lambda model: export(model, (3, 10, 8)),
    "slim": lambda model: slim(model, (3, 10, 8)),
    "convert all": lambda model: convert_all(Source("it", model, (3, 10, 8), {}), []),
}


@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
@pytest.mark.parametrize("spoil", [on_meta, partly_on_meta, with_statistics_on_meta, with_sparse_weight, fake])
def test_weights_that_are_not_there_are_told_with_the_fix(use, spoil):
    with pytest.raises((ModelError, ExportError), match=r"meta device|sparse tensor") as caught:
        use(spoil(seeded(SmallResNet)))
    assert "load_state_dict" in caught.value.hint or "to_dense" in caught.value.hint


def test_an_example_on_the_meta_device_is_its_shape():
    plans = [
        convert(seeded(SmallResNet), mean_rank=1, example_input=example)[1]
        for example in ((3, 10, 8), torch.empty(4, 3, 10, 8, device="meta"))
    ]
    assert plans[0].to_json() == plans[1].to_json()


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        (torch.float8_e4m3fn, "float8_e4m3fn; make it float32"),
        (torch.int8, "int8, not real"),
        (torch.complex64, "complex64, not real"),
    ],
)
def test_numbers_that_cannot_be_decomposed(dtype, reason):
    model = seeded(SmallResNet)
    model.conv1.weight = nn.Parameter(model.conv1.weight.detach().to(dtype), requires_grad=False)
    _, plan = convert(model, mean_rank=1)
    assert [layer.name for layer in plan.converted] == ["conv2"]
    assert reason in plan.layers[1].left_alone
