"""From the options of a command to the network and the images it works on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdws.cli.options import common as options
from gdws.cli.views.output import errors
from gdws.errors import DataError, GdwsError

if TYPE_CHECKING:
    from gdws.datasets import Dataset
    from gdws.networks.sources import Shape
    from gdws.pipeline import Source

#: In place of a data set, where there is none: see :func:`gdws.datasets.random_images`.
RANDOM = "random"


def open_source(
    checkpoint: str | None,
    net: str | None = None,
    *,
    family: str | None = None,
    kept: float | None = None,
    prefix: str | None = None,
    normalisation: str | None = None,
    net_options: list[str] | None = None,
    onnx: Path | None = None,
    module: str | None = None,
    module_options: list[str] | None = None,
    input_shape: str | None = None,
    output: str | None = None,
    slim: bool = False,
) -> Source:
    """The network that the options name; what was done to a file's contents first is told on standard error.

    Raises :class:`GdwsError` if they name none, or name it in two ways, and what :mod:`gdws.networks.sources` raises.
    """
    from gdws import pipeline

    of_net = {"--net": net, "--normalisation": normalisation, "--net-option": net_options}
    if onnx is not None:
        _refuse("--onnx", of_net | {"CHECKPOINT": checkpoint, "--family": family, "--kept": kept, "--prefix": prefix})
        _refuse("--onnx", {"--module": module, "--module-option": module_options})
        source = pipeline.load_onnx(onnx, _shape(input_shape), output=_output(output))
    elif module is not None:
        _refuse("--module", of_net)
        if (shape := _shape(input_shape)) is None:
            raise GdwsError("--module does not tell how large its images are", hint="give --input-shape C,H,W")
        given = named_values(module_options, "--module-option")
        source = pipeline.load_module(
            module,
            shape,
            options=given,
            checkpoint=checkpoint,
            family=family,
            kept=kept,
            prefix=prefix,
            output=_output(output),
        )
    elif checkpoint is None:
        raise GdwsError("no network is named", hint="give a CHECKPOINT, --onnx FILE or --module PACKAGE.MODULE:FACTORY")
    else:
        _refuse("a checkpoint", {"--module-option": module_options, "--input-shape": input_shape, "--output": output})
        more = named_values(net_options, "--net-option")
        if normalisation is not None:
            more["normalisation"] = normalisation
        source = pipeline.load(checkpoint, net, family=family, kept=kept, prefix=prefix, **more)
    if slim:
        source = pipeline.slimmed(source)
    for note in source.notes:
        errors().print(f"note: {checkpoint or onnx or module}: {note}", markup=False)
    return source


def open_data(source: Source, name: str, root: Path | None) -> Dataset:
    """A data set for a network. Raises :class:`DataError`, also if its images have another number of channels."""
    from gdws import datasets

    if name == RANDOM:
        return datasets.random_images(source.module, source.input_shape)
    data = datasets.load(name, root=root)
    shape = tuple(data.test.first(1).images.shape[1:])
    if shape[0] != source.input_shape[0]:
        theirs, ours = ("x".join(map(str, sizes)) for sizes in (shape, source.input_shape))
        raise DataError(
            f"the images of {name} are {theirs}, the network takes {ours}",
            hint=f"choose another data set with --data, or --data {RANDOM}",
        )
    return data


def named_values(texts: list[str] | None, option: str) -> dict[str, Any]:
    """``["width=16"]`` as names and values, which are JSON or else text. Raises :class:`GdwsError`."""
    return dict(_named_value(text, option) for text in texts or [])


def _named_value(text: str, option: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise GdwsError(f"{option} {text!r} is not NAME=VALUE", hint=f"e.g. {option} width=16")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _output(text: str | None) -> str | int | None:
    """A number is the place of an output, anything else its name."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def _shape(text: str | None) -> Shape | None:
    if text is None:
        return None
    sizes = options.numbers(text, "--input-shape")
    if len(sizes) != 3 or min(sizes) < 1:
        raise GdwsError(f"--input-shape {text!r} is no shape of images", hint="e.g. --input-shape 3,224,224 for C,H,W")
    channels, height, width = sizes
    return channels, height, width


def _refuse(what: str, given: Mapping[str, object]) -> None:
    """Raise unless all of ``given`` are None."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise GdwsError(f"{what} goes without {' and '.join(names)}", hint="name the network in one way")
