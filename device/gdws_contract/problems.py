"""Problem details (RFC 9457): every error of the REST interface has this shape."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from .base import Reading

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:gdws:problem:"


class Problem(Reading):
    """A problem document: what went wrong, where, and how to fix it."""

    type: str = Field(description="Stable name of the kind, e.g. 'urn:gdws:problem:model-not-found'.")
    title: str
    status: int = Field(ge=100, le=599)
    detail: Optional[str] = None
    instance: Optional[str] = None
    field: Optional[str] = Field(None, description="Path of the culprit in the request or bundle.")
    hint: Optional[str] = Field(None, description="What to do next.")

    @property
    def code(self) -> str:
        """The kind without its prefix, e.g. ``model-not-found``."""
        return self.type[len(TYPE_PREFIX) :] if self.type.startswith(TYPE_PREFIX) else self.type


def problem_type(code: str) -> str:
    """Return the type URN of a problem ``code``."""
    return TYPE_PREFIX + code
