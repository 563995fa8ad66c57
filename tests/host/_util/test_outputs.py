"""Networks whose output is no tensor of logits."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import nn

from gdws._util.outputs import choose_output, described, logits_in, parts_of, relative_difference, tensors_in
from gdws.compression.calibration import alphas as calibrate
from gdws.datasets import Split, random_images
from gdws.errors import ExportError, ModelError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.evaluate import evaluate
from gdws.networks.slimming import slim
from gdws.networks.sources import Source
from gdws.onnx_io.export import export
from gdws.pipeline import calibration_images
from gdws.planning.conversion import convert
from support.networks import SmallResNet, seeded

SHAPE = (3, 10, 8)


class Named(NamedTuple):
    logits: torch.Tensor
    features: torch.Tensor


@dataclass
class Output:
    logits: torch.Tensor
    loss: None = None


class Giving(SmallResNet):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(super().forward(x))


CONTAINERS = {
    "tuple": (lambda y: (y, y.exp()), 0, "a tuple of 2: 0 (1, 5), 1 (1, 5)"),
    "list": (lambda y: [y.exp(), y], 1, "a list of 2: 0 (1, 5), 1 (1, 5)"),
    "dict": (lambda y: {"logits": y, "aux": None}, "logits", "a dict of 2: logits (1, 5), aux (NoneType)"),
    "ordered": (lambda y: OrderedDict(out=y), "out", "an OrderedDict of 1: out (1, 5)"),
    "named tuple": (lambda y: Named(y, y.exp()), "logits", "a Named of 2: logits (1, 5), features (1, 5)"),
    "data class": (lambda y: Output(y), "logits", "an Output of 2: logits (1, 5), loss (NoneType)"),
}
MAKERS = pytest.mark.parametrize("make", [case[0] for case in CONTAINERS.values()], ids=CONTAINERS)


@pytest.mark.parametrize(("make", "key", "words"), CONTAINERS.values(), ids=CONTAINERS)
def test_containers_are_described_and_the_fix_is_told(make, key, words):
    y = torch.rand(1, 5)
    assert described(make(y)) == words
    with pytest.raises(ModelError) as caught:
        logits_in(make(y), 1)
    assert words in str(caught.value)
    assert "--output" in caught.value.hint


@pytest.mark.parametrize(("make", "key", "_"), CONTAINERS.values(), ids=CONTAINERS)
def test_one_output_can_be_chosen_converted_and_exported(make, key, _):
    x, plain = torch.rand(4, *SHAPE), seeded(SmallResNet)
    model = choose_output(seeded(Giving, make), key)
    torch.testing.assert_close(model(x), plain(x))
    converted, plan = convert(model, mean_rank=99, example_input=SHAPE)
    assert [layer.name for layer in plan.converted] == ["network.conv1", "network.conv2"]
    torch.testing.assert_close(converted(x), plain(x), rtol=1e-4, atol=1e-5)
    assert export(converted, SHAPE)
    assert slim(model, SHAPE).module


@pytest.mark.parametrize("key", [7, "nothing"])
@MAKERS
def test_an_output_that_is_not_there(make, key):
    with pytest.raises(ModelError, match=f"no output {key!r}"):
        choose_output(seeded(Giving, make), key)(torch.rand(1, *SHAPE))


USERS = {
    "alphas": lambda model, x: calibrate.alphas(model, [x]),
    "alphas under attack": lambda model, x: calibrate.alphas(model, [x], attack=lambda m, x, y: x),
    "evaluate": lambda model, x: evaluate(model, x, torch.zeros(len(x), dtype=torch.int64)),
    "calibration images": lambda model, x: calibration_images(
        Source("it", model, SHAPE, {}), split(x), AttackSpec("pgd", eps=0.1)
    ),
}


def split(x):
    return Split(x, torch.zeros(len(x), dtype=torch.int64))


@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
@MAKERS
def test_whatever_takes_a_classifier_tells_the_fix(use, make):
    with pytest.raises((ModelError, ExportError), match="not logits") as caught:
        use(seeded(Giving, make), torch.rand(12, *SHAPE))
    assert "--output" in caught.value.hint


@MAKERS
def test_what_needs_no_logits_takes_any_output(make):
    assert export(seeded(Giving, make), SHAPE)
    assert not random_images(seeded(Giving, make), SHAPE).test.has_labels
    _, plan = convert(seeded(Giving, make), mean_rank=1, example_input=SHAPE)
    assert [layer.name for layer in plan.converted] == ["conv1", "conv2"]
    assert slim(seeded(Giving, make), SHAPE).removed == {}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (None, "nothing"),
        ("text", "a str"),
        ((), "a tuple"),
        (torch.rand(2, 3, 4), "shape"),
        (torch.rand(3, 4), "shape"),
        (torch.rand(2), "shape"),
        (torch.tensor([[1, 2], [3, 4]]), "int64"),
        (torch.full((2, 3), torch.nan), "NaN"),
    ],
)
def test_other_outputs(output, words):
    with pytest.raises(ModelError, match=words) as caught:
        logits_in(output, 2)
    assert caught.value.hint


def test_few_classes():
    with pytest.raises(ModelError, match="at least 2 classes"):
        logits_in(torch.rand(3, 1), 3, classes=2)
    assert logits_in(torch.rand(3, 1), 3) is not None


def test_tensors_are_found_at_any_depth():
    a, b, c, d = torch.arange(4.0)
    nested = {"x": [a, (b, None)], "y": Output(Named(c, d))}
    assert torch.equal(torch.stack(tensors_in(nested)), torch.arange(4.0))
    assert parts_of("text") == []


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.5])], 0.2),
        ([torch.ones(2)], [torch.ones(3)], float("inf")),
        ([], [torch.ones(3)], float("inf")),
        ([torch.tensor([torch.nan, 1.0])], [torch.tensor([torch.nan, 1.0])], 0.0),
        ([torch.tensor([torch.nan, 1.0])], [torch.tensor([1.0, 1.0])], float("inf")),
        ([torch.tensor([5, 2])], [torch.tensor([5, 1])], 0.2),
        ([torch.ones(0)], [torch.ones(0)], 0.0),
        ([], [], 0.0),
    ],
)
def test_differences_are_relative_to_the_largest_value(found, expected, difference):
    assert relative_difference(found, expected) == pytest.approx(difference)


def test_a_chosen_network_keeps_its_mode():
    assert not choose_output(nn.Identity().eval(), 0).training
    assert choose_output(nn.Identity().train(), 0).training
