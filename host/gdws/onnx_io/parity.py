"""Compares a module with the ONNX file that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gdws._util.outputs import tensors_in
from gdws.errors import ModelError, first_line
from gdws.onnx_io.interface import Images, Interface
from gdws.onnx_io.run import Array, CannotRun, Runner

#: Largest difference between the rebuilt module and the file, over the largest output.
TOLERANCE = 1e-4
#: Largest difference from a file in half precision, whose numbers have 8 to 11 bits.
_HALF_TOLERANCE = 0.05
#: Smaller outputs count as this large: a sigmoid close to 0 is mostly rounding.
FLOOR = 1e-2
_CHECK_SIZES = (1, 3)


class CannotRebuild(ModelError):
    """The file runs, and there is no torch module that computes what it does."""


class _DoesNotRun(ModelError):
    """ONNX Runtime does not run the file."""


def check_parity(
    module: nn.Module, content: bytes, interface: Interface, path: Path, tolerance: float = TOLERANCE
) -> float:
    """Compare all outputs of module and file at several batch sizes; return the largest relative difference.

    Raises :class:`CannotRebuild` if the module does not run or gives something else, and
    :class:`~gdws.errors.ModelError` if the file itself does not run, or gives no finite numbers.
    """
    sizes = [size * (interface.batch or 1) for size in _CHECK_SIZES]
    batches = [np.random.default_rng(size).random((size, *interface.shape), dtype=np.float32) for size in sizes]
    expected = _of_file(content, batches, interface, path)
    worst = 0.0
    for images, wanted in zip(batches, expected, strict=True):
        found = _of_module(module, images, path)
        mine, theirs = ([array.shape for array in arrays] for arrays in (found, wanted))
        if mine != theirs:
            raise CannotRebuild(f"rebuilt, {path} gives {_shown(mine)} in place of {_shown(theirs)}", hint=_BATCH_HINT)
        if not all(np.isfinite(array).all() for array in wanted):
            raise ModelError(f"{path} gives NaN or infinity on random images", hint="check the weights of the network")
        worst = max([worst, *(_difference(*pair) for pair in zip(found, wanted, strict=True))])
    if not worst <= tolerance:
        problem = f"rebuilt, {path} differs from ONNX Runtime by {worst:.3g} of its largest output"
        raise CannotRebuild(problem, hint=HINT)
    return worst


def check_rounding(module: nn.Module, content: bytes, interface: Interface, path: Path) -> str:
    """Compare with the file as it is, in half precision; say how far it differs, if it runs here."""
    try:
        return f", which differs by {check_parity(module, content, interface, path, _HALF_TOLERANCE):.1g}"
    except _DoesNotRun:  # ONNX Runtime lacks many operators in half precision
        return ""


def _of_file(content: bytes, batches: Sequence[Images], interface: Interface, path: Path) -> list[list[Array]]:
    """The outputs of the file for each of ``batches``, in pieces of the batch size that it fixes."""
    try:
        runner = Runner(content)
        return [_in_pieces(runner, images, interface) for images in batches]
    except CannotRun as error:
        raise _DoesNotRun(f"{path} does not run on random images: {error}", hint="check --input-shape") from error


def _in_pieces(runner: Runner, images: Images, interface: Interface) -> list[Array]:
    size, [name] = interface.batch or len(images), runner.inputs
    pieces = [runner({name: interface.feed(images[at : at + size])}) for at in range(0, len(images), size)]
    return [
        np.concatenate([np.moveaxis(part, axis, 0) for part in parts])
        for axis, parts in zip(interface.batch_axes, zip(*pieces, strict=True), strict=True)
    ]


@torch.no_grad()
def _of_module(module: nn.Module, images: Images, path: Path) -> list[Array]:
    try:
        return [tensor.numpy() for tensor in tensors_in(module(torch.from_numpy(images)))]
    except Exception as error:  # whatever the rebuilt operators raise
        raise CannotRebuild(
            f"rebuilt, {path} does not run on {len(images)} images: {first_line(error)}", hint=_BATCH_HINT
        ) from error


def _difference(found: Array, wanted: Array) -> float:
    """The largest difference over the largest |wanted|; infinity for NaN."""
    scale = max(float(np.abs(wanted).max(initial=0.0)), FLOOR)
    worst = float(np.abs(found.astype(np.float64) - wanted).max(initial=0.0)) / scale
    return worst if np.isfinite(worst) else float("inf")


def _shown(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "nothing"


HINT = "export the network again with plain operators, at opset 17 or older, or give the torch module by --module"
_BATCH_HINT = "export it with a dynamic batch size (dynamic_axes={'input': {0: 'batch'}})"
