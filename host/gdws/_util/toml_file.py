"""Settings files in TOML -> validated records, with errors that name the field."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gdws._util.text_files import read_text
from gdws.errors import SettingsError
from gdws_contract.parsing import first_fault

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Settings = TypeVar("_Settings", bound=BaseModel)


def load_toml(kind: type[_Settings], path: Path, *, hint: str) -> _Settings:
    """The settings at ``path``.

    Raises:
        OSError: the file cannot be read.
        SettingsError: it is no TOML, or a field is unknown or wrong; ``hint`` says where the fields are told.
    """
    try:
        return kind.model_validate(tomllib.loads(read_text(path)))
    except ValidationError as error:
        field, message = first_fault(error)
        raise SettingsError(f"{path}: {field}: {message}", field=field, hint=hint) from error
    except (ValueError, RecursionError) as error:  # of TOML or of its encoding
        raise SettingsError(f"{path} is not TOML: {error}", hint=hint) from error
