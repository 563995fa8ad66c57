"""Calls of single modules in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

#: ``note(module, input, output)``: the first argument of a call and its result. It may return another result.
Note = Callable[[nn.Module, Any, Any], Any]


@contextmanager
def observed(notes: Iterable[tuple[nn.Module, Note]]) -> Iterator[None]:
    """Call each note after each call of its module, within the context.

    The input is found whether the network passes it by position or by keyword; None for a call without arguments.
    """
    handles = [module.register_forward_hook(partial(_pass_on, note), with_kwargs=True) for module, note in notes]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pass_on(note: Note, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
    return note(module, next(iter((*args, *kwargs.values())), None), output)
