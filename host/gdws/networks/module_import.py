"""A torch module by the name of what makes it, ``package.module:factory``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import nn

from gdws.errors import ModelError, first_line


def load_module(target: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Return the network that ``target`` names, in evaluation mode.

    ``target`` is ``package.module:name``; the module is looked for in the current folder too. ``name`` (or
    ``name.attribute``) is a network, or is called with ``options`` to make one. Its code runs, so name only what you
    trust.

    Raises :class:`~gdws.errors.ModelError` if there is no such module or name, it raises, or it gives no network.
    """
    where, separator, name = target.partition(":")
    if not (where and separator and name):
        raise ModelError(
            f"{target!r} names no network", hint="write package.module:factory, e.g. torchvision.models:resnet18"
        )
    with _current_folder_importable():
        found = _attribute(_import(where), name, target)
        made = _call(found, dict(options or {}), target)
    if not isinstance(made, nn.Module):
        raise ModelError(f"{target} gives {_kind(made)}, not a torch.nn.Module")
    return made.eval()


@contextmanager
def _current_folder_importable() -> Iterator[None]:
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
                f"there is no module {error.name!r}", hint="run in the folder where it lies, or install its package"
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


def _call(found: Any, options: dict[str, Any], target: str) -> Any:
    if isinstance(found, nn.Module) and not options:
        return found
    if not callable(found) or isinstance(found, nn.Module):
        takes = "takes no options" if isinstance(found, nn.Module) else "cannot be called"
        raise ModelError(f"{target} is {_kind(found)}, which {takes}")
    try:
        return found(**options)
    except (Exception, SystemExit) as error:  # as above
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise ModelError(
            f"{target}({given}) raises {first_line(error)}",
            hint="give what it needs by --module-option NAME=VALUE" if isinstance(error, TypeError) else None,
        ) from error


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
