"""JSON text of a request -> a validated record, or an error that names the field."""

from __future__ import annotations

from typing import Any, Dict, Optional, Type, TypeVar

from pydantic import BaseModel, ValidationError

from gdws_agent.errors import BodyMalformed, RequestInvalid
from gdws_contract.parsing import first_fault, parse_json
from gdws_contract.profiles import ProfileRequest
from gdws_contract.queueing import LeaseRequest
from gdws_contract.rest import BenchmarkRequest

_Request = TypeVar("_Request", bound=BaseModel)


def parse_request(text: bytes) -> BenchmarkRequest:
    """Return the request in ``text``.

    Raises:
        BodyMalformed: it is not a JSON object.
        RequestInvalid: ``field`` is the path of what is missing or wrong, e.g. ``batch_sizes[0]``.
    """
    return _validated(_parse_object(text), BenchmarkRequest)


def parse_profile_request(text: bytes) -> ProfileRequest:
    """Return the request for a profile in ``text``.

    Raises:
        BodyMalformed, RequestInvalid: as :func:`parse_request`.
    """
    return _validated(_parse_object(text), ProfileRequest)


def parse_lease_request(text: bytes) -> LeaseRequest:
    """Return the request for a lease in ``text``.

    Raises:
        BodyMalformed, RequestInvalid: as :func:`parse_request`.
    """
    return _validated(_parse_object(text), LeaseRequest)


def parse_options(text: Optional[bytes], model_id: str) -> BenchmarkRequest:
    """Return the request for ``model_id`` with the other fields from ``text``; without text all are defaults.

    Raises:
        BodyMalformed, RequestInvalid: as :func:`parse_request`, or a ``model_id`` is given that is another's.
    """
    fields = {} if text is None else _parse_object(text)
    if fields.setdefault("model_id", model_id) != model_id:
        raise RequestInvalid(
            "is not the id of the bundle that was sent along", field="model_id", hint="leave it out of a form"
        )
    return _validated(fields, BenchmarkRequest)


def _parse_object(text: bytes) -> Dict[str, Any]:
    try:
        fields = parse_json(text)
    except ValueError as error:
        raise BodyMalformed(f"the request {error}") from error
    if not isinstance(fields, dict):
        raise BodyMalformed("the request is not a JSON object")
    return fields


def _validated(fields: Dict[str, Any], kind: Type[_Request]) -> _Request:
    try:
        return kind.model_validate(fields, strict=True)
    except ValidationError as error:
        field, message = first_fault(error)
        raise RequestInvalid(f"{field}: {message}" if field else message, field=field or None) from error
