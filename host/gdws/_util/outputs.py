"""The outputs of networks: checks and selection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gdws.errors import GdwsError, ModelError, first_line


def logits_in(output: Any, images: int, *, classes: int = 1) -> Tensor:
    """``output``, after a check that it is finite logits (N, classes) for N ``images``.

    Every place that takes a network for a classifier asks here. Raises :class:`~gdws.errors.ModelError` that tells how
    to choose, if there is more than one output, and if there are fewer than so many ``classes``.
    """
    if not isinstance(output, Tensor):
        raise ModelError(f"the network returns {described(output)}, not logits (N, classes)", hint=_choice(output))
    if output.ndim != 2 or len(output) != images or output.shape[1] < classes:
        least = f" with at least {classes} classes" if classes > 1 else ""
        raise ModelError(
            f"{images} images give an output of shape {tuple(output.shape)}, not logits ({images}, classes) of a "
            f"classifier{least}",
            hint="give a classifier of images",
        )
    if not output.is_floating_point():
        raise ModelError(
            f"the network returns {output.dtype}, not logits",
            hint="return logits instead of classes: remove the argmax at its end",
        )
    if not bool(output.isfinite().all()):
        raise ModelError(
            "the logits are not finite: they contain NaN or infinity",
            hint="check the weights and the range of the inputs",
        )
    return output


class Chosen(nn.Module):
    """A network restricted to one output; ``output`` is its key, index or field name."""

    def __init__(self, network: nn.Module, output: str | int) -> None:
        super().__init__()
        self.network = network
        self.output = output

    def forward(self, images: Tensor) -> Any:
        """Return that output for ``images`` (N, C, H, W). Raises :class:`~gdws.errors.ModelError` if there is none."""
        found = self.network(images)
        try:
            if isinstance(found, Mapping):
                return found[self.output if self.output in found else str(self.output)]
            return found[self.output] if isinstance(self.output, int) else getattr(found, self.output)
        except (LookupError, TypeError, AttributeError) as error:
            raise ModelError(
                f"there is no output {self.output!r}: the network returns {described(found)}", hint=_choice(found)
            ) from error


def choose_output(network: nn.Module, output: str | int) -> nn.Module:
    """``network`` restricted to the named output; the weights are shared, under names with another prefix."""
    return Chosen(network, output).train(network.training)


def logits_of(network: nn.Module, images: Tensor, *, classes: int = 1) -> Tensor:
    """The logits (N, classes) of ``images`` (N, C, H, W).

    Raises :class:`~gdws.errors.ModelError` if the network does not run on them, and as :func:`logits_in`.
    """
    return logits_in(run(network, images), len(images), classes=classes)


def run(network: nn.Module, images: Tensor) -> Any:
    """The output of ``network``, with its errors converted to :class:`~gdws.errors.ModelError`."""
    try:
        return network(images)
    except GdwsError:
        raise
    except Exception as error:  # whatever the network's code raises
        raise ModelError(
            f"the network does not run on images of shape {tuple(images.shape)}: {first_line(error)}",
            hint="check the input shape: (channels, height, width), e.g. --input-shape 3,224,224",
        ) from error


def tensors_in(output: Any) -> list[Tensor]:
    """The tensors in a tensor, or in tuples, lists, mappings and data classes of them, in order."""
    if isinstance(output, Tensor):
        return [output]
    return [tensor for _, part in parts_of(output) for tensor in tensors_in(part)]


def named_tensors(output: Any) -> dict[str, Tensor]:
    """The tensors of :func:`tensors_in` by names derived from their position: ``output``, ``output_0``, ``boxes``.

    Names are made of letters, digits, ``_`` and ``.`` alone, and the same structure gives the same names.
    """
    found: dict[str, Tensor] = {}
    for path, tensor in _paths(output, ""):
        name = re.sub(r"[^A-Za-z0-9_.]+", "_", path).strip("._") or "output"
        name = f"output_{name}" if name[0].isdigit() else name
        while name in found:
            name += "_"
        found[name] = tensor
    return found


def _paths(output: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield path, output
    for key, part in parts_of(output):
        yield from _paths(part, f"{path}.{key}" if path else str(key))


def parts_of(output: Any) -> list[tuple[str | int, Any]]:
    """The parts of an output by key, index or field name; empty if it is not a container."""
    if isinstance(output, Mapping):
        return list(output.items())
    if is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in fields(output)]
    names = getattr(output, "_fields", None)  # of a named tuple
    if isinstance(output, Sequence) and not isinstance(output, str | bytes):
        return list(zip(names, output, strict=True)) if names else list(enumerate(output))
    return []


def described(output: Any) -> str:
    """An output in words, e.g. ``a tuple of 2: 0 (4, 10), 1 (4, 3, 32, 32)``."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    parts = parts_of(output)
    name = type(output).__name__
    kind = f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
    if not parts:
        return "nothing" if output is None else kind
    return f"{kind} of {len(parts)}: " + ", ".join(f"{key} {_short(part)}" for key, part in parts[:6])


def relative_difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference of tensors over the largest value of each; infinity where shapes differ.

    NaN and infinities in the same places are the same.
    """
    if [tensor.shape for tensor in found] != [tensor.shape for tensor in expected]:
        return float("inf")
    return max((_difference(*pair) for pair in zip(found, expected, strict=True)), default=0.0)


def _difference(found: Tensor, expected: Tensor) -> float:
    if not found.numel():
        return 0.0
    mine, wanted = found.detach().double(), expected.detach().double()
    finite = wanted.isfinite()
    if not torch.equal(finite, mine.isfinite()):
        return float("inf")
    mine, wanted = mine[finite], wanted[finite]
    if not len(wanted):
        return 0.0
    return float((mine - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30))


def _short(part: Any) -> str:
    return described(part) if isinstance(part, Tensor) else f"({type(part).__name__})"


def _choice(output: Any) -> str:
    names = [name for name, part in parts_of(output) if isinstance(part, Tensor)]
    if not names:
        return "wrap it in a module whose forward returns the logits alone"
    return (
        f"choose the output with the logits, e.g. --output {names[0]}, in Python gdws.choose_output(network, "
        f"{names[0]!r}); or wrap it in a module whose forward returns the logits alone"
    )
