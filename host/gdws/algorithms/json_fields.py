"""Strict readers for JSON values, whose errors name the path of the culprit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Reader = Callable[[Any, str], T]


class PlanFormatError(ValueError):
    """A plan is malformed; ``field`` is the path of the culprit, such as ``layers[3].ranks[2]``."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


def text(value: Any, path: str) -> str:
    """Return ``value`` if it is a string."""
    if not isinstance(value, str):
        raise PlanFormatError(path, f"expected a string, got {_kind(value)}")
    return value


def flag(value: Any, path: str) -> bool:
    """Return ``value`` if it is a boolean."""
    if not isinstance(value, bool):
        raise PlanFormatError(path, f"expected true or false, got {_kind(value)}")
    return value


def count(value: Any, path: str) -> int:
    """Return ``value`` if it is an integer of at least 0."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanFormatError(path, f"expected an integer, got {_kind(value)}")
    if value < 0:
        raise PlanFormatError(path, f"expected at least 0, got {value}")
    return value


def number(value: Any, path: str) -> float:
    """Return ``value`` as a float if it is a finite number of at least 0."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise PlanFormatError(path, f"expected a number, got {_kind(value)}")
    if not 0 <= value <= sys.float_info.max:
        raise PlanFormatError(path, f"expected a finite number of at least 0, got {str(value)[:20]}")
    return float(value)


def optional(read: Reader[T]) -> Reader[T | None]:
    """Return a reader that also takes null."""
    return lambda value, path: None if value is None else read(value, path)


def sequence(read: Reader[T], length: int | None = None) -> Reader[tuple[T, ...]]:
    """Return a reader for an array whose items are read by ``read``."""

    def read_sequence(value: Any, path: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise PlanFormatError(path, f"expected an array, got {_kind(value)}")
        if length is not None and len(value) != length:
            raise PlanFormatError(path, f"expected {length} items, got {len(value)}")
        return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(value))

    return read_sequence


def record(
    value: Any, path: str, required: Mapping[str, Reader[Any]], extra: Mapping[str, Reader[Any]]
) -> dict[str, Any]:
    """Return the fields of an object; those in ``extra`` may be absent, and others are not allowed."""
    if not isinstance(value, dict):
        raise PlanFormatError(path, f"expected an object, got {_kind(value)}")
    readers = {**required, **extra}
    for name in value:
        if name not in readers:
            raise PlanFormatError(_join(path, str(name)), "unknown field")
    for name in required:
        if name not in value:
            raise PlanFormatError(_join(path, name), "missing")
    return {name: read(value[name], _join(path, name)) for name, read in readers.items() if name in value}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    return kinds.get(type(value), repr(value))
