"""The base of every model on the wire, and the types that several of them share."""

from __future__ import annotations

import keyword
import re
from typing import Any, List, Optional

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated

#: Names that reach file systems, URLs and tables: letters, digits, dot, dash and underscore.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
MAX_NAME_LENGTH = 100
SHA256_PATTERN = r"^[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]

_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_UNQUOTABLE = re.compile("[\"'\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Record(BaseModel):
    """An immutable value that rejects unknown fields, so that typos are detected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reading(BaseModel):
    """An immutable value from the other side; fields added by a newer release are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def distinct_items(values: Optional[List[Any]]) -> Optional[List[Any]]:
    """Return ``values`` if none comes twice; for validators. Raises ValueError."""
    if values is not None and len(set(values)) != len(values):
        raise ValueError("names each item once")
    return values


def safe_name(text: str, *, default: Optional[str] = None) -> str:
    """Return ``text`` with everything outside :data:`NAME_PATTERN` turned into dashes.

    Raises:
        ValueError: nothing is left and no ``default`` is given.
    """
    name = _UNSAFE_NAME.sub("-", text).strip("-._")[:100]
    if name:
        return name
    if default is None:
        raise ValueError(f"no usable name in {text!r}")
    return default


def quotable_name(text: str) -> str:
    """Return ``text`` with each character that could end or change a string literal turned into an underscore.

    For names that end up in generated code: torch.fx writes the path of each module that a graph calls between
    quotes as it is, or as an attribute where it is an identifier, and executes what it wrote. So a keyword of Python
    gets an underscore at its end. Other names are returned as they are.
    """
    name = _UNQUOTABLE.sub("_", text)
    return f"{name}_" if keyword.iskeyword(name) else name
