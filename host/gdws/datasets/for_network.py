"""Checks and completes a data set for a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws.datasets.labelling import labelled_by
from gdws.datasets.splits import Dataset, Split
from gdws.errors import DataError

#: Names of classes that an error lists.
_SHOWN = 5


def for_network(data: Dataset, network: nn.Module, shape: tuple[int, ...]) -> Dataset:
    """``data`` for a ``network`` that takes ``shape`` (C, H, W): unlabelled images get the network's predictions.

    Raises :class:`~gdws.errors.DataError` if the images have another shape, or their classes are not the network's
    outputs, and :class:`~gdws.errors.ModelError` if it does not run on images of its shape.
    """
    require_shape(data.name, data.test, shape)
    outputs = _outputs(network, shape)
    if not data.test.has_labels:
        label = labelled_by(network)
        train, validation, test = (split.labelled_by(label) for split in (data.train, data.validation, data.test))
        return replace(data, classes=outputs or 0, train=train, validation=validation, test=test)
    if outputs is not None and (data.classes > outputs or (data.class_names and data.classes != outputs)):
        names = f" ({_named(data.class_names)})" if data.class_names else ""
        raise DataError(
            f"{data.name} has {data.classes} classes{names}, and the network has {outputs} outputs",
            hint="use --labels FILE with the names of the network's classes, one a line, in the order of its outputs",
        )
    return data


def require_shape(name: str, images: Split, shape: tuple[int, ...]) -> None:
    """Raise :class:`~gdws.errors.DataError` unless the images of that ``name`` have the ``shape`` (C, H, W)."""
    theirs = tuple(images.by_row.shape[1:])
    if theirs == shape:
        return
    given, wanted = ("x".join(map(str, sizes)) for sizes in (theirs, shape))
    raise DataError(
        f"the images of {name} are {given}, but the network takes {wanted}",
        hint=_advice(theirs, shape),
    )


def _advice(theirs: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return "provide your own signals with --data FILE.npy or .npz, or use --data random"
    if theirs[0] != shape[0]:
        return "give images of your own with --data DIR, another data set by its name, or --data random"
    return (
        f"use --input-shape {','.join(map(str, theirs))} if the network supports that size too, or your own images "
        "with --data DIR, which are resized"
    )


@torch.no_grad()
def _outputs(network: nn.Module, shape: tuple[int, ...]) -> int | None:
    """The network's number of classes; None if it is not a classifier."""
    like = next(network.parameters(), torch.empty(0))
    with evaluation_mode(network):
        output = run(network, torch.zeros(1, *shape).to(like))
    is_logits = isinstance(output, Tensor) and output.ndim == 2 and len(output) == 1 and output.is_floating_point()
    return output.shape[1] if is_logits else None


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
