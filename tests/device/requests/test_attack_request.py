from types import SimpleNamespace

import pytest

from gdws_agent.errors import AttackImpossible
from gdws_agent.requests.attack_request import FIELDS, as_benchmark, resolve_attack
from gdws_agent.requests.fields import fields_renamed
from gdws_contract.attacks import MAX_IMAGES, AttackOptions, AttackRequest
from gdws_contract.manifest import Attack, TensorSpec
from gdws_contract.task import Classification, Outputs

MODEL = "a" * 64
LINF = Attack(name="pgd", norm="linf", eps=0.1)
L1 = Attack(name="pgd", norm="l1", eps=12.0)
UNION = Attack(name="union", norm="linf+l2", parts=[LINF, Attack(name="pgd", norm="l2", eps=1.5)])


def manifest(attack=LINF, **changes):
    verification = {"origin": "labelled", "labels": "labels.npy", "count": 50, "attack": attack}
    pixels = TensorSpec(name="x", shape=[1, 8, 8], low=0.0, high=1.0)
    fields = {"task": Classification(), "classes": 10, "input": pixels}
    for name, value in changes.items():
        (verification if name in verification else fields)[name] = value
    return SimpleNamespace(verification=SimpleNamespace(**verification), **fields)


def test_everything_asked_for_is_in_the_benchmark():
    asked = AttackRequest.model_validate(
        {
            "model_id": MODEL,
            "variants": ["gdws"],
            "backends": ["tensorrt"],
            "precisions": ["fp16", "int8"],
            "batch_sizes": [8],
            "options": {"queries": 7},
            "engine": {"dla_core": 1},
            "threads": 3,
            "parity_tolerance": 0.2,
            "label": "x",
            "priority": 2,
        }
    )
    made = as_benchmark(asked)
    for name in ("model_id", "variants", "backends", "precisions", "batch_sizes", "engine", "label", "priority"):
        assert getattr(made, name) == getattr(asked, name)
    assert made.attack == asked.options
    assert (made.protocol.threads, made.protocol.parity_tolerance) == (3, 0.2)
    assert not made.is_timed


def test_what_is_left_open_is_that_of_the_bundle():
    found = resolve_attack(AttackOptions(queries=7), manifest())
    assert (found.norm, found.eps, found.images, found.queries) == ("linf", 0.1, 50, 7)


def test_what_is_given_holds():
    found = resolve_attack(AttackOptions(norm="l2", eps=0.5, images=20), manifest())
    assert (found.norm, found.eps, found.images) == ("l2", 0.5, 20)
    assert resolve_attack(AttackOptions(norm="l2", eps=0.5), manifest(None)).eps == 0.5
    assert resolve_attack(AttackOptions(eps=0.3), manifest()).norm == "linf"


def test_a_union_has_a_radius_for_each_norm():
    assert resolve_attack(AttackOptions(norm="l2"), manifest(UNION)).eps == 1.5
    assert resolve_attack(AttackOptions(norm="linf"), manifest(UNION)).eps == 0.1


def test_no_more_images_than_there_are_or_than_a_cell_may_have():
    assert resolve_attack(AttackOptions(images=200), manifest()).images == 50
    assert resolve_attack(AttackOptions(), manifest(count=3 * MAX_IMAGES)).images == MAX_IMAGES


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": Outputs(), "classes": None}, "its task is outputs"),
        ({"classes": 1}, "one class alone"),
        ({"origin": "noise"}, "noise"),
        ({"origin": "network", "labels": None}, "no labels"),
        ({"origin": "network"}, "the baseline's own answers"),
        ({"input": TensorSpec(name="x", shape=[64], low=0, high=1)}, "no images"),
        ({"input": TensorSpec(name="x", shape=[1, 8, 8])}, "from None to None"),
        ({"input": TensorSpec(name="x", shape=[1, 8, 8], dtype="uint8", low=0, high=255)}, "uint8 from 0.0 to 255.0"),
    ],
)
def test_a_bundle_that_cannot_be_attacked_is_refused_with_the_reason(changes, told):
    with pytest.raises(AttackImpossible, match=told) as caught:
        resolve_attack(AttackOptions(norm="linf", eps=0.1), manifest(**changes))
    assert caught.value.field == "model_id"


@pytest.mark.parametrize(
    ("options", "attack", "field"),
    [
        ({}, None, "attack.norm"),
        ({}, L1, "attack.norm"),
        ({}, UNION, "attack.norm"),
        ({"eps": 0.1}, None, "attack.norm"),
        ({"norm": "l2"}, LINF, "attack.eps"),
        ({"norm": "linf"}, None, "attack.eps"),
        ({}, LINF.model_copy(update={"eps": 0.0}), "attack.eps"),
    ],
)
def test_norm_and_radius_that_nobody_says_are_asked_for(options, attack, field):
    with pytest.raises(AttackImpossible) as caught, fields_renamed(FIELDS):
        resolve_attack(AttackOptions(**options), manifest(attack))
    assert caught.value.field == field.replace("attack", "options")
    assert "say" in caught.value.hint
