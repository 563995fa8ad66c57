"""Which packages are installed, from their metadata and files: nothing is imported."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Optional, Tuple


def is_installed(module: str) -> bool:
    """Return whether a top-level ``module`` can be found."""
    return importlib.util.find_spec(module) is not None


def has_file(module: str, path: str) -> bool:
    """Return whether the folder of the top-level package ``module`` has the file ``path`` in it."""
    spec = importlib.util.find_spec(module)
    folders = None if spec is None else spec.submodule_search_locations
    return any(Path(folder, path).is_file() for folder in folders or ())


def version_of(*distributions: str) -> Optional[str]:
    """Return the version of the first that is installed; None when none has metadata, e.g. built from source."""
    return next(filter(None, map(_version, distributions)), None)


def release(version: str) -> Tuple[int, int]:
    """Return major and minor of a version, e.g. (1, 16) for ``1.16.3``; (0, 0) where it begins otherwise."""
    parts = version.split(".")[:2]
    if len(parts) < 2 or not all(part.isdigit() for part in parts):
        return 0, 0
    return int(parts[0]), int(parts[1])


def _version(distribution: str) -> Optional[str]:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
