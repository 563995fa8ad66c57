"""Errors of a benchmark in the words of the request that it was made from."""

from __future__ import annotations

import contextlib
from typing import Iterator, Mapping

from gdws_agent.errors import AgentError


@contextlib.contextmanager
def fields_renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Have errors raised within name other fields: ``names`` has those of the benchmark, and what they came from.

    A field within one that is renamed goes with it.
    """
    try:
        yield
    except AgentError as error:
        if error.field is not None:
            error.field = _renamed(error.field, names)
        raise


def _renamed(field: str, names: Mapping[str, str]) -> str:
    if field in names:
        return names[field]
    head, dot, rest = field.partition(".")
    return f"{names.get(head, head)}{dot}{rest}"
