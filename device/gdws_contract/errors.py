"""Errors of reading what the other side wrote.

::

    ContractError
    ├── PlanFormatError          a plan is malformed
    └── BundleError              a bundle cannot be used
        ├── BundleUnreadable     not a zip archive, truncated, or damaged
        ├── BundleUnsafe         a member escapes, links, is encrypted, repeated or undeclared, a network reaches out
        ├── BundleTooLarge       a limit on size, count or expansion is passed
        ├── BundleCorrupt        a member's size or SHA-256 is not the manifest's
        ├── ManifestInvalid      a field is missing, of the wrong type or inconsistent
        └── SchemaUnsupported    written for a schema version that this release does not read

``field`` is the path of the culprit: a field of the manifest (``variants[1].onnx``) or a
member of the archive (``members/model.onnx``). ``hint`` says what to do next.
"""

from __future__ import annotations

from typing import Optional


class ContractError(Exception):
    """Base of the tree."""

    def __init__(self, message: str, *, field: Optional[str] = None, hint: Optional[str] = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.message = message
        self.field = field
        self.hint = hint


class PlanFormatError(ContractError, ValueError):
    """A plan is malformed; ``field`` is the path of the culprit, such as ``layers[3].ranks[2]``."""


class BundleError(ContractError):
    """A bundle cannot be used."""


class BundleUnreadable(BundleError):
    """Not a zip archive, truncated, or damaged."""


class BundleUnsafe(BundleError):
    """A member leaves the archive, is a link, encrypted, repeated or undeclared, or a network references a file."""


class BundleTooLarge(BundleError):
    """A limit on size, count or expansion is exceeded."""


class BundleCorrupt(BundleError):
    """A member's size or SHA-256 is not the manifest's."""


class ManifestInvalid(BundleError):
    """A field is missing, of the wrong type, or does not fit the others."""


class SchemaUnsupported(BundleError):
    """Written in a schema version that this release does not support."""
