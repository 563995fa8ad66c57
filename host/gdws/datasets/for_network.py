"""Checks and completes a data set for a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws.datasets.labelling import labelled_by
from gdws.datasets.splits import Dataset
from gdws.errors import DataError

#: Names of classes that an error lists.
_SHOWN = 5


def for_network(data: Dataset, network: nn.Module, shape: tuple[int, ...]) -> Dataset:
    """``data`` for a ``network`` that takes ``shape`` (C, H, W): unlabelled images get the network's predictions.

    Raises :class:`~gdws.errors.DataError` if the images have another shape, or their classes are not the network's
    outputs, and :class:`~gdws.errors.ModelError` if it does not run on images of its shape.
    """
    require_shape(f"the images of {data.name}", data.test.by_row.shape[1:], shape)
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


def require_shape(what: str, theirs: Sequence[int], wanted: Sequence[int | None]) -> None:
    """Raise :class:`~gdws.errors.DataError` unless ``theirs``, of one image of ``what``, is the shape ``wanted``.

    Both are (C, H, W); None is any size.
    """
    if len(theirs) == len(wanted) and all(size in (None, own) for own, size in zip(theirs, wanted, strict=True)):
        return
    message = f"{what} are {_shown(theirs)}, but the network takes {_shown(wanted)}"
    raise DataError(message, hint=_advice(theirs, wanted))


def _shown(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


def _advice(theirs: Sequence[int], wanted: Sequence[int | None]) -> str:
    if len(wanted) != 3:
        return "provide your own signals with --data FILE.npy or .npz, or use --data random"
    if len(theirs) != 3 or wanted[0] not in (None, theirs[0]):
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
