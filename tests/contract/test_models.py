"""What holds for every model of the contract."""

import inspect
import json

import pytest
from pydantic import BaseModel, ValidationError

from gdws_contract import (
    attack_check,
    base,
    engines,
    live,
    manifest,
    measures,
    problems,
    profiles,
    queueing,
    rest,
    steps,
    task,
    thermal,
)
from gdws_contract.base import Reading, Record
from gdws_contract.queueing import Submission
from support.contract_examples import example

MODULES = (attack_check, engines, live, manifest, measures, problems, profiles, queueing, rest, steps, task, thermal)
MODELS = sorted(
    {
        member
        for module in MODULES
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, BaseModel) and member not in (Record, Reading, Submission)
    },
    key=lambda model: model.__qualname__,
)
RECORDS = {model: example(model) for model in MODELS}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
class TestEach:
    def test_json_and_back(self, model):
        record = RECORDS[model]
        assert model.model_validate_json(record.model_dump_json()) == record
        assert model.model_validate(json.loads(record.model_dump_json()), strict=True) == record
        assert model.model_validate(record.model_dump()) == record

    def test_it_cannot_be_changed(self, model):
        record = RECORDS[model]
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, next(iter(model.model_fields)), None)

    def test_unknown_fields(self, model):
        """Our own records refuse them; what comes from the other side may be newer than we are."""
        fields = {**json.loads(RECORDS[model].model_dump_json()), "new_field": 1}
        if issubclass(model, Record):
            with pytest.raises(ValidationError, match="new_field"):
                model.model_validate(fields)
        else:
            assert model.model_validate(fields) == RECORDS[model]

    def test_each_required_field_is_missed_by_name(self, model):
        fields = json.loads(RECORDS[model].model_dump_json())
        for name, info in model.model_fields.items():
            if info.is_required():
                with pytest.raises(ValidationError) as caught:
                    model.model_validate({key: value for key, value in fields.items() if key != name})
                assert (name,) in [error["loc"] for error in caught.value.errors()]

    def test_it_says_what_it_is(self, model):
        assert model.__doc__
        assert model.__doc__ not in (Record.__doc__, Reading.__doc__)


def test_nothing_in_json_is_nan_or_infinite():
    for model in (measures.LatencySummary, measures.Power, measures.SpeedUp):
        fields = json.loads(RECORDS[model].model_dump_json())
        for name, value in fields.items():
            if isinstance(value, float):
                for bad in (float("nan"), float("inf"), -1.0):
                    with pytest.raises(ValidationError):
                        model.model_validate({**fields, name: bad})


def test_names_are_the_same_everywhere():
    assert base.NAME_PATTERN.startswith("^")
    for model, field in ((manifest.Variant, "name"), (rest.CellKey, "backend"), (rest.Availability, "name")):
        fields = json.loads(RECORDS[model].model_dump_json())
        for bad in ("", "a b", "../a", "-a", "a" * 101, "ä", "a\n"):
            with pytest.raises(ValidationError):
                model.model_validate({**fields, field: bad})
