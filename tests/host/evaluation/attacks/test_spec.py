import json

import pytest

from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec, UnionSpec
from gdws.evaluation.attacks.spec import from_dict, is_void
from gdws_contract.manifest import Attack


def test_its_fields_are_those_of_the_contract():
    spec = AttackSpec(eps=8 / 255, step=1 / 255, iterations=100, random_start=False, restarts=2, seed=7)
    stored = json.loads(json.dumps(spec.to_dict()))
    assert AttackSpec(**stored) == spec
    assert Attack(**stored).model_dump(exclude={"parts"}) == stored
    assert from_dict(stored) == spec


def test_it_reads_as_the_field_writes_it():
    assert str(AttackSpec()) == "PGD-40 (l_inf, eps 0.2, step 0.02, random start)"
    assert str(AttackSpec(random_start=False, restarts=2)).endswith("zero start, 2 restarts)")
    assert str(AttackSpec(norm="l2", eps=0.5)).startswith("PGD-40 (l_2, eps 0.5")
    assert str(AttackSpec(name="apgd", step=None, iterations=100, eps=0.1)) == "APGD-100 (l_inf, eps 0.1)"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eps", -0.1),
        ("eps", 1.5),
        ("eps", float("nan")),
        ("step", 0),
        ("step", float("inf")),
        ("iterations", 0),
        ("restarts", 0),
        ("norm", "l3"),
        ("name", "square"),
    ],
)
def test_illegal_values_are_named(field, value):
    with pytest.raises(GdwsError, match=field if field in ("eps", "step", "iterations", "restarts") else value):
        AttackSpec(**{field: value})


UNION = UnionSpec((AttackSpec(eps=0.03), AttackSpec(norm="l1", eps=12, step=1)))


def test_a_union_is_stored_with_its_parts():
    stored = json.loads(json.dumps(UNION.to_dict()))
    assert from_dict(stored) == UNION
    known = Attack(**stored)
    assert (known.name, known.norm, known.eps) == ("union", "linf+l1", None)
    assert [part.eps for part in known.parts] == [0.03, 12]
    assert str(UNION) == f"the union of {UNION.parts[0]}; {UNION.parts[1]}"


@pytest.mark.parametrize("parts", [(AttackSpec(),), (AttackSpec(), AttackSpec(norm="l2", seed=1))])
def test_a_union_that_is_none_is_refused(parts):
    with pytest.raises(GdwsError, match=r"union"):
        UnionSpec(parts)


@pytest.mark.parametrize(
    "content",
    [
        {"name": "pgd", "norm": "linf"},
        {"name": "u", "norm": "l2", "eps": 1, "parts": [{"name": "pgd", "norm": "linf", "eps": 1}]},
    ],
)
def test_the_contract_wants_a_radius_or_parts(content):
    with pytest.raises(ValueError, match="radius"):
        Attack(**content)


def test_a_void_attack_is_known():
    assert is_void(AttackSpec(eps=0))
    assert is_void(UnionSpec((AttackSpec(eps=0), AttackSpec(norm="l2", eps=0))))
    assert not is_void(UNION)


def test_adaptive_attacks_have_no_step():
    with pytest.raises(GdwsError, match="adapts its step size"):
        AttackSpec(name="apgd", step=0.1)
    with pytest.raises(GdwsError, match="step is None"):
        AttackSpec(step=None)
    with pytest.raises(GdwsError, match="'l1'"):
        AttackSpec(name="autoattack", norm="l1", step=None)
