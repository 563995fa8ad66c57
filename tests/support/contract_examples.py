"""An example of each model of the contract, every field set to what its type allows. Runs on Python 3.8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Union, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import Annotated, Literal, get_args, get_origin

from gdws_contract.attack_check import AttackCheck
from gdws_contract.manifest import Attack, Manifest, Member, Variant, Verification
from gdws_contract.measures import Proportion
from gdws_contract.pacing import Pacing
from gdws_contract.problems import Problem, problem_type
from gdws_contract.rest import Job
from gdws_contract.steps import GdwsStep

#: A name, a SHA-256 and a text at once.
ID = "0123456789abcdef" * 4
_LEAVES = {str: (ID,), int: (1, 17, 404), float: (0.5, 60.0), bool: (True,), Any: (ID,), type(None): (None,)}
#: Of models whose fields must fit each other, those that do not by themselves.
_FITTING = {
    Attack: {"parts": []},  # which are in place of eps
    Pacing: {"arrivals_ms": None, "duration_ms": 500.0},
    AttackCheck: {"blind": 0, "queried": 0, "query_fooled": 0},
    Problem: {"type": problem_type("model-not-found")},
}


def example(model: type[BaseModel], **given: Any) -> Any:
    """Return a ``model`` whose fields are ``given``, or by their types."""
    given = {**_FITTING.get(model, {}), **given}
    for name, info in model.model_fields.items():
        if name not in given:
            given[name] = _value(Annotated.__class_getitem__((info.annotation, None, *info.metadata)))
    return model(**given)


def _value(kind: Any) -> Any:
    """Return the first value of ``kind`` that its bounds allow."""
    return next(value for value in _values(kind) if _is_valid(kind, value))


def _is_valid(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _values(kind: Any) -> Iterator[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _values(arguments[0])
    elif origin is Union:
        for each in arguments:
            yield from _values(each)
    elif origin is Literal:
        yield from arguments
    elif origin is list:
        yield [_value(arguments[0])]
    elif origin is dict:
        yield {_value(arguments[0]): _value(arguments[1])}
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield MANIFEST if kind is Manifest else example(kind)
    elif isinstance(kind, type) and issubclass(kind, tuple):  # a named one
        yield kind(*map(_value, get_type_hints(kind).values()))
    else:
        yield from _LEAVES[kind]


def _manifest() -> Manifest:
    """Its members, their names and the names of its variants must fit each other."""
    variants = [
        example(
            Variant,
            name=name,
            role=role,
            onnx=f"{name}/onnx",
            steps=[example(GdwsStep, plan=f"{name}/plan")],
            outputs=[f"{name}/outputs"],
            adversarial_inputs=f"{name}/adversarial_inputs",
            adversarial_outputs=[f"{name}/adversarial_outputs"],
        )
        for name, role in (("dense", "baseline"), ("gdws", "converted"))
    ]
    verification = example(Verification, inputs="inputs.npy", labels="labels.npy")
    paths = ["inputs.npy", "labels.npy", *(path for each in variants for _, path in each.members())]
    members = {path: example(Member) for path in paths}
    return example(Manifest, baseline="dense", variants=variants, verification=verification, members=members)


PROPORTION: Proportion = example(Proportion, value=0.94, successes=94, count=100)
ATTACK: Attack = example(Attack)
MANIFEST = _manifest()
JOB: Job = example(Job)
