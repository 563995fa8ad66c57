"""The JSON files of a gate: noise and baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gdws._util.files import write_atomic
from gdws._util.text_files import read_text
from gdws.errors import ResultError
from gdws_contract.parsing import first_fault

_Document = TypeVar("_Document", bound=BaseModel)


def save(document: BaseModel, path: Path) -> None:
    """Write ``document`` to ``path``. Raises OSError."""
    write_atomic(path, document.model_dump_json(indent=1).encode() + b"\n")


def load(kind: type[_Document], path: Path, *, hint: str) -> _Document:
    """The document stored at ``path``.

    Raises:
        OSError: the file cannot be read.
        ResultError: it is not a valid ``kind``; ``hint`` says how to make one.
    """
    try:
        return kind.model_validate(json.loads(read_text(path)))
    except ValidationError as error:
        field, message = first_fault(error)
        raise ResultError(f"{path}: {message}", field=field or None, hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is not JSON: {error}", hint=hint) from error
