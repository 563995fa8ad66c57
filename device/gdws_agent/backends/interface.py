"""Check that the inputs and outputs of a model are those in the manifest. Pure, and the same for every backend."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

from gdws_agent.errors import BuildFailed

from .base import EngineSpec


class Tensor(NamedTuple):
    """An input of a model as its runtime reads it. ``shape`` has None where any size goes."""

    name: str
    dtype: Optional[str]
    shape: Sequence[Optional[int]]


def check_interface(inputs: Sequence[Tensor], outputs: Sequence[str], spec: EngineSpec) -> None:
    """Pass a model that has the one input and the outputs of ``spec``, at its batch size.

    Raises:
        BuildFailed: it differs; the message says in what.
    """
    names = [tensor.name for tensor in inputs]
    stated = [output.name for output in spec.outputs]
    if names != [spec.input.name] or not set(stated) <= set(outputs):
        raise BuildFailed(
            f"the model takes {names} and gives {sorted(outputs)}, the manifest says {[spec.input.name]} and {stated}"
        )
    found = inputs[0]
    if found.dtype != spec.input.dtype:
        raise BuildFailed(f"the model takes {found.dtype}, the manifest says {spec.input.dtype}")
    expected = [spec.batch_size, *spec.input.shape]
    if not _shapes_agree(found.shape, expected):
        raise BuildFailed(
            f"the model takes inputs of shape {_in_words(found.shape)}, {expected} is asked for",
            hint="a fixed first axis allows that batch size alone: export with a dynamic batch axis",
        )


def _shapes_agree(found: Sequence[Optional[int]], expected: Sequence[int]) -> bool:
    return len(found) == len(expected) and all(axis is None or axis == size for axis, size in zip(found, expected))


def _in_words(shape: Sequence[Optional[int]]) -> str:
    return f"[{', '.join('any' if axis is None else str(axis) for axis in shape)}]"
