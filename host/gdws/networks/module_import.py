"""Loads a torch module from Python code, ``package.module:factory``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gdws._util.named_import import current_folder_importable, find
from gdws.errors import ModelError, first_line


def load_module(target: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Return the network that ``target`` names, in evaluation mode.

    ``target`` is ``package.module:name``; the module is looked for in the current folder too. ``name`` (or
    ``name.attribute``) is a network, or is called with ``options`` to make one. Its code runs, so name only what you
    trust.

    Raises :class:`~gdws.errors.ModelError` if there is no such module or name, it raises, or it is not a network.
    """
    found = find(target, "network", example="torchvision.models:resnet18")
    with current_folder_importable():
        made = _call(found, dict(options or {}), target)
    if not isinstance(made, nn.Module):
        raise ModelError(f"{target} returns {_kind(made)}, not a torch.nn.Module")
    return made.eval()


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
            hint="give its arguments with --module-option NAME=VALUE" if isinstance(error, TypeError) else None,
        ) from error


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
