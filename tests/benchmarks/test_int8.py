"""Accuracies that grow image by image, and the sentences that are made from them."""

import itertools
import json

import pytest
import torch
from torch import nn

from benchmarks.int8 import __main__ as command
from benchmarks.int8 import targets, whitebox
from benchmarks.int8.accuracy import changes
from benchmarks.int8.table import table
from gdws.datasets import Split
from gdws.errors import ResultError
from gdws.evaluation.attacks import AttackSpec

ATTACK = AttackSpec(eps=0.1, step=0.05, iterations=3)


def network(weight: float = 1.0) -> nn.Module:
    """Says class 1 where the pixel is above a half, with margins that grow by ``weight``."""
    made = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        made[1].weight.copy_(torch.tensor([[0.0], [weight]]))
        made[1].bias.copy_(torch.tensor([weight / 2, 0.0]))
    return made


def images(count: int = 10) -> Split:
    """Pixels of even distances, labelled by :func:`network`."""
    pixels = torch.linspace(0.01, 0.99, count)
    return Split(pixels.view(-1, 1, 1, 1), (pixels > 0.5).long())


@pytest.fixture
def exact(monkeypatch):
    """Attacks in float32, four images a batch."""
    monkeypatch.setattr(whitebox, "has_bf16", lambda device: False)
    monkeypatch.setattr(whitebox, "_BATCH", 4)


def ask(path, *, count=10, late=(), attack=ATTACK):
    answers = itertools.chain(late, itertools.repeat(False))
    return whitebox.robust(network(), images(count), [attack], path, is_late=lambda: next(answers))


def test_what_is_out_of_time_goes_on_later(exact, tmp_path):
    assert ask(tmp_path / "none", late=[True]) is None
    part = ask(tmp_path / "state", late=[False, True])
    assert part["count"] == 4
    whole = ask(tmp_path / "state")
    assert whole == ask(tmp_path / "other")
    assert whole["right"] == "1111001111"  # a tenth from one half, and no more, are in reach
    assert whole["right"].startswith(part["right"])
    assert ask(tmp_path / "state", count=3)["right"] == "111"


def test_answers_to_another_attack_are_not_taken(exact, tmp_path):
    ask(tmp_path / "state")
    with pytest.raises(ResultError, match="other attacks"):
        ask(tmp_path / "state", attack=AttackSpec(eps=0.2, step=0.05))


def test_an_image_that_fools_the_first_target_alone_is_attacked_on_the_next():
    class Stops(nn.Module):
        """Is fooled by whatever it gets, and has no gradient to follow."""

        def forward(self, x):
            wrong = 1 - (x.flatten(1)[:, 0] > 0.5).long()
            return nn.functional.one_hot(wrong, 2).float()

    data = images()
    arguments = data.images, data.labels, [ATTACK], torch.arange(10)
    alone = whitebox.resisting(network(), [Stops()], *arguments)
    assert alone.all()
    found = whitebox.resisting(network(), [Stops(), network()], *arguments)
    assert found.tolist() == whitebox.resisting(network(), [network()], *arguments).tolist()
    assert not found.all()


def test_an_image_in_reach_of_either_attack_does_not_resist():
    data = images()
    nothing = AttackSpec(eps=0.0, step=0.05)
    arguments = data.images, data.labels
    expected = whitebox.resisting(network(), [network()], *arguments, [ATTACK], torch.arange(10))
    for attacks in ([nothing, ATTACK], [ATTACK, nothing]):
        found = whitebox.resisting(network(), [network()], *arguments, attacks, torch.arange(10))
        assert found.tolist() == expected.tolist()


def test_an_accuracy_is_not_replaced_by_one_on_fewer_images(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "HERE", tmp_path)
    monkeypatch.setattr(command, "machine", dict)
    row = command._Row(("accuracy", "dense", "natural"), 100, lambda: None)
    for count in (50, 20, 100):
        command._put("net", row, {"value": 1.0, "count": count, "right": "1" * count}, "accuracy")
        stored = json.loads((tmp_path / "results.json").read_text())["networks"]["net"]["accuracy"]["dense"]["natural"]
        assert stored["count"] == max(count, 50)
        assert row.is_enough(stored) == (count == 100)


def accuracy(right: str) -> dict:
    return {"value": right.count("1") / len(right), "count": len(right), "right": right, "attack": "PGD"}


def test_changes_are_paired_with_the_network_that_is_named():
    found = {"dense": {"natural": accuracy("1111")}, "dense-int8": {"natural": accuracy("11100")}, "rank-2": {}}
    assert set(changes(found, "natural", lambda name: "dense")) == {"dense-int8"}
    assert changes(found, "natural", lambda name: "dense")["dense-int8"].points == -25
    assert changes(found, "robust", lambda name: "dense") == {}


@pytest.mark.parametrize(
    ("lost", "count", "words"),
    [
        (0, 2000, "kept."),
        (1, 100, "not kept as measured."),
        (0, 100, "kept as measured."),
        (200, 1000, "not kept."),
    ],
)
def test_what_int8_costs_is_held_against_its_limit(lost, count, words):
    found = {
        "dense": {"natural": accuracy("1" * count)},
        "dense-int8": {"natural": accuracy("0" * lost + "1" * (count - lost))},
    }
    [line] = targets.sentences({"networks": {"net": {"accuracy": found}}})
    assert " ".join(line.split()).endswith(f"of {count}, {words}")


def test_speeds_are_held_against_what_is_aimed_at():
    def ratio(value):
        return {"ratio": value, "low": value - 0.1, "high": value + 0.1}

    def rows(scale):
        return {
            "dense": {"median_ms": 2.0 / scale},
            "rank-2-int8": {"median_ms": 1.0, "over_dense": ratio(2.0), "over_dense_int8": ratio(scale)},
        }

    speed = {"1": {"1": rows(1.0), "8": rows(1.65)}, "2": {"1": rows(2.0)}}
    text = " ".join(" ".join(targets.sentences({"networks": {"net": {"speed": speed}}})).split())
    assert "on one thread. net: 1.00 at batch 1, not reached; 1.65 at batch 8, reached as measured." in text
    assert "1.4 times as fast as `dense-int8` on two threads. net: 2.00 at batch 1, reached." in text
    assert "on two threads over that on one. net: `dense` 2.00, `rank-2-int8` 1.00." in text


def test_the_table_has_what_is_known_and_says_what_is_not():
    found = {
        "rank-2": {"natural": accuracy("1110")},
        "dense": {"natural": accuracy("1111"), "robust": accuracy("1100"), "autoattack": accuracy("10")},
    }
    text = table({"networks": {"net": {"accuracy": found, "machine_of_accuracy": {}}}})
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" |")[0] for line in lines] == ["|", "| dense", "| rank-2"]
    assert lines[1] == "| dense | 100.00 of 4 | 50.00 of 4 | 50.00 of 2 | – | – |"
    assert "| rank-2 | 75.00 of 4 (-25.00: " in lines[2]
    assert lines[2].endswith("| – | – | – | – |")
