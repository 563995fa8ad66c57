"""Which packages are installed, from their metadata: nothing is imported."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from typing import Optional


def is_installed(module: str) -> bool:
    """Return whether a top-level ``module`` can be found."""
    return importlib.util.find_spec(module) is not None


def version_of(*distributions: str) -> Optional[str]:
    """Return the version of the first that is installed; None when none has metadata, e.g. built from source."""
    return next(filter(None, map(_version, distributions)), None)


def _version(distribution: str) -> Optional[str]:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
