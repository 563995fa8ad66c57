"""Imports of objects that a user names as ``package.module:name``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from gdws.errors import ModelError, first_line


def find(target: str, what: str, *, example: str) -> Any:
    """Return ``name`` or ``name.attribute`` of ``package.module:name``; the module may be in the current folder.

    Its code runs, so name only what you trust. ``what`` says what is named, e.g. ``network``.

    Raises :class:`~gdws.errors.ModelError` if there is no such module or name, or the module raises.
    """
    where, separator, name = target.partition(":")
    if not (where and separator and name):
        raise ModelError(f"{target!r} does not name a {what}", hint=f"write package.module:name, e.g. {example}")
    with current_folder_importable():
        return _attribute(_import(where), name, target)


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """Make modules in the current folder importable."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ModelError(
                f"there is no module {error.name!r}", hint="run in its folder, or install its package"
            ) from error
        raise ModelError(f"{name} cannot be imported: {error}", hint="install what it needs") from error
    except (Exception, SystemExit) as error:  # it is code of the user's, which may raise anything
        raise ModelError(f"{name} cannot be imported: {first_line(error)}") from error


def _attribute(module: ModuleType, path: str, target: str) -> Any:
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            known = [each for each in vars(module) if not each.startswith("_") and callable(vars(module)[each])]
            hint = f"it has {', '.join(sorted(known)[:10])}" if known else None
            raise ModelError(f"{target}: there is no {path!r} in {module.__name__}", hint=hint)
        found = getattr(found, name)
    return found
