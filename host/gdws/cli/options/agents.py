"""What the commands share that ask an agent for something: its address, and a request from options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gdws.errors import GdwsError

LOCAL = "local"

_Request = TypeVar("_Request", bound=BaseModel)


@contextlib.contextmanager
def agent_at(device: str) -> Iterator[str]:
    """The address of the agent, started here if ``device`` is ``local``."""
    from gdws.device.local_agent import local_agent

    if device == LOCAL:
        with local_agent() as url:
            yield url
    else:
        yield device


def make_request(kind: type[_Request], command: str, **fields: Any) -> _Request:
    """A request of the contract; raises :class:`GdwsError` naming the field that is wrong."""
    from gdws_contract.parsing import first_fault

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        field, message = first_fault(error)
        raise GdwsError(f"{field}: {message}", hint=f"gdws {command} --help tells what each option takes") from error


def given(**fields: Any) -> dict[str, Any]:
    """Those ``fields`` that an option gave a value, so that the contract's defaults stand for the others."""
    return {name: value for name, value in fields.items() if value is not None}


def milliseconds(seconds: float | None) -> float | None:
    """An option in seconds as the contract has it; None stays None."""
    return None if seconds is None else 1000 * seconds
