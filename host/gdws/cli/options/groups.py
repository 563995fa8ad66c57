"""Groups of related options as dataclasses, each defined once for all commands that take them.

A command takes a group like any other argument::

    def convert(out: Out, network: NetworkOptions, attack: AttackOptions) -> None: ...

and :func:`with_groups` turns it into a function of the groups' fields, which typer can read.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer


def panel(title: str) -> Callable[..., Any]:
    """``typer.Option`` for options that the help lists under ``title``."""
    return functools.partial(typer.Option, rich_help_panel=title)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with each parameter that is a dataclass replaced by its fields, in order.

    An option has the annotation and default of its field. Raises ``ValueError`` if two options share a name.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if dataclasses.is_dataclass(kind):
            groups[parameter.name] = kind
            parameters += _fields(kind)
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
    names = [parameter.name for parameter in parameters]
    if len(set(names)) != len(names):
        raise ValueError(f"{command.__name__} defines an option twice: {sorted(names)}")

    def run(**values: Any) -> None:
        given = {
            name: kind(**{field.name: values.pop(field.name) for field in dataclasses.fields(kind)})
            for name, kind in groups.items()
        }
        command(**values, **given)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _fields(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
