from __future__ import annotations

import json

import pytest

from gdws.attacks import AttackSpec
from gdws.errors import GdwsError
from gdws_contract.manifest import Attack


def test_its_fields_are_those_of_the_contract():
    spec = AttackSpec(eps=8 / 255, step=1 / 255, iterations=100, random_start=False, restarts=2, seed=7)
    stored = json.loads(json.dumps(spec.to_dict()))
    assert AttackSpec(**stored) == spec
    assert Attack(**stored).model_dump() == stored


def test_it_reads_as_the_field_writes_it():
    assert str(AttackSpec()) == "PGD-40 (l_inf, eps 0.2, step 0.02, random start)"
    assert str(AttackSpec(random_start=False, restarts=2)).endswith("zero start, 2 restarts)")


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
        ("norm", "l2"),
        ("name", "square"),
    ],
)
def test_illegal_values_are_named(field, value):
    with pytest.raises(GdwsError, match=field if field in ("eps", "step", "iterations", "restarts") else value):
        AttackSpec(**{field: value})
