"""Parses the JSON of a request into a validated record, or raises an error that names the field."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Type, TypeVar

from pydantic import BaseModel, ValidationError

from gdws_agent.errors import BodyMalformed, RequestInvalid
from gdws_contract.parsing import first_fault, parse_json

_Request = TypeVar("_Request", bound=BaseModel)


def parse_object(text: bytes) -> Dict[str, Any]:
    """Return the fields of the JSON object in ``text``.

    Raises:
        BodyMalformed: it is not a JSON object.
    """
    try:
        fields = parse_json(text)
    except ValueError as error:
        raise BodyMalformed(f"the request {error}") from error
    if not isinstance(fields, dict):
        raise BodyMalformed("the request is not a JSON object")
    return fields


def validated(fields: Mapping[str, Any], kind: Type[_Request]) -> _Request:
    """Return the request of that ``kind`` with those ``fields``.

    Raises:
        RequestInvalid: ``field`` is the path of what is missing or wrong, e.g. ``batch_sizes[0]``.
    """
    try:
        return kind.model_validate(fields, strict=True)
    except ValidationError as error:
        field, message = first_fault(error)
        raise RequestInvalid(f"{field}: {message}" if field else message, field=field or None) from error


def take_kind(fields: Dict[str, Any], kinds: Iterable[str]) -> str:
    """Take the field ``kind`` out of ``fields`` and return it.

    Raises:
        RequestInvalid: it is missing, or not one of ``kinds``.
    """
    kind, known = fields.pop("kind", None), list(kinds)
    if not isinstance(kind, str) or kind not in known:
        problem = "is missing" if kind is None else f"cannot be {kind!r:.100}"
        raise RequestInvalid(f"kind: {problem}", field="kind", hint=f"choose one of {', '.join(known)}")
    return kind


def with_model_id(fields: Mapping[str, Any], model_id: str) -> Dict[str, Any]:
    """Return ``fields`` with the id of the bundle that came along.

    Raises:
        RequestInvalid: they name another.
    """
    if fields.get("model_id", model_id) != model_id:
        raise RequestInvalid("is not the id of the uploaded bundle", field="model_id", hint="leave it out of a form")
    return {**fields, "model_id": model_id}
