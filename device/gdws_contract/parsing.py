"""Parses JSON from the other side into validated records, or names the invalid field.

Stricter than the ``json`` module where parsers differ or where a small text costs much: repeated keys, NaN,
numbers beyond 64 bits, lone surrogates, deep nesting and very many values are refused. With the bound on keys,
and lists that fail at their first fault, a report of faults stays short too.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Sequence, Tuple, Union

from pydantic import ValidationError

MAX_DEPTH = 32
MAX_VALUES = 100_000
MAX_KEYS = 2_000
_MAX_NUMBER_LENGTH = 64


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON document in UTF-8.

    Raises:
        ValueError: with one sentence on what is wrong.
    """
    # Each value but the first follows one of these; counted before parsing, which is what takes memory.
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise ValueError(f"holds more than {MAX_VALUES} values")
    try:
        value = json.loads(
            text.decode("utf-8"),
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise ValueError(f"is nested more than {MAX_DEPTH} deep") from error
    _check_values(value)
    return value


def first_fault(error: ValidationError) -> Tuple[str, str]:
    """Return the field path and the message of the first fault, e.g. ``("variants[1].onnx", "field required")``.

    A check that spans several fields names the culprit itself, as ``field`` in the context of its error.
    """
    faults = error.errors(include_url=False, include_input=False)
    fault = faults[0]
    field = field_path(fault["loc"])
    culprit = fault.get("ctx", {}).get("field")
    if isinstance(culprit, str):
        field = f"{field}.{culprit}" if field else culprit
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    if len(faults) > 1:
        message += f" (and {len(faults) - 1} more)"
    return field, message


def field_path(location: Sequence[Union[str, int]]) -> str:
    """Return a location as one writes it: ``("variants", 1, "onnx")`` -> ``variants[1].onnx``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier():
            path += f".{part}"
        else:
            path += f"[{part[:100]!r}]"
    return path.lstrip(".")


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise ValueError(f"holds an object of more than {MAX_KEYS} keys")
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"has the key {key[:100]!r} twice in one object")
            seen.add(key)
    return found


def _integer(text: str) -> int:
    # The length comes first: turning a long text into an integer takes quadratic time.
    if len(text) > _MAX_NUMBER_LENGTH or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"holds an integer beyond 64 bits: {text[:20]}...")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if len(text) > _MAX_NUMBER_LENGTH or not math.isfinite(value):
        raise ValueError(f"holds a number beyond double precision: {text[:20]}...")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"holds {text}, which is not JSON")


def _check_values(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        below: List[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not _is_unicode(value):
                raise ValueError("holds a lone surrogate, which is not text")
        if not below:
            return
        level = below
    raise ValueError(f"is nested more than {MAX_DEPTH} deep")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
