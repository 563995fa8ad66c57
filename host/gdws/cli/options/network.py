"""Options for the network that a command works on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options.common import numbers
from gdws.cli.options.groups import panel
from gdws.cli.options.pixels import PixelOptions
from gdws.cli.options.task import TaskOptions
from gdws.cli.views.output import errors
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.networks.sources import Shape
    from gdws.pipeline import Source

_checkpoint = panel("Checkpoints of other projects")
_model = panel("Your own networks, pruned networks")


Checkpoint = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A file of weights (safetensors or a torch state dict), or the name of a network whose weights ship with "
        "the package, e.g. mnist-preact-resnet. With --onnx and --module the weights that take the place of theirs.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class NetworkOptions(TaskOptions, PixelOptions):
    """A network by its checkpoint, an ONNX file, or Python code."""

    checkpoint: Checkpoint = None
    net: Annotated[
        str | None,
        typer.Option("--net", metavar="NAME", help="The network, if the file does not name it: see gdws nets."),
    ] = None
    net_option: Annotated[
        list[str] | None,
        _checkpoint(
            "--net-option", metavar="NAME=VALUE", help="An option of the network, e.g. classes=100. Repeatable."
        ),
    ] = None
    family: Annotated[
        str | None,
        _checkpoint(
            "--family",
            metavar="NAME",
            help="Whose file it is: authors, svhn (Rice et al.), hydra, admm, msd, robnet, madrylab or plain. Default: "
            "recognised by its structure, except svhn, which looks like plain.",
        ),
    ] = None
    kept: Annotated[
        float | None,
        _checkpoint(
            "--kept",
            metavar="SHARE",
            help="For a file with popup scores (HYDRA): the fraction of weights that each layer keeps, as it was "
            "trained, "
            "e.g. 0.1.",
        ),
    ] = None
    prefix: Annotated[
        str | None,
        _checkpoint(
            "--prefix",
            metavar="NAME",
            help="Prefix of the network in the file, if it contains several, e.g. state_dict_ema or ema_model. The "
            "prefixes of wrappers around a single network are detected.",
        ),
    ] = None
    onnx: Annotated[
        Path | None,
        _model(
            "--onnx",
            metavar="FILE",
            help="A network in an ONNX file instead of a checkpoint: images (N, C, H, W) to outputs (N, ...).",
        ),
    ] = None
    module: Annotated[
        str | None,
        _model(
            "--module",
            metavar="PACKAGE.MODULE:FACTORY",
            help="A network from Python code, e.g. torchvision.models:resnet18, with the weights of CHECKPOINT if one "
            "is given. The code is executed; it may be in the current folder.",
        ),
    ] = None
    module_option: Annotated[
        list[str] | None,
        _model(
            "--module-option",
            metavar="NAME=VALUE",
            help="An argument of the factory, e.g. num_classes=10. Repeatable.",
        ),
    ] = None
    input_shape: Annotated[
        str | None,
        _model(
            "--input-shape",
            metavar="C,H,W",
            help="Shape of an image, e.g. 3,224,224, or of a signal (C,L), e.g. 1,16000. Required with --module and "
            "for ONNX files with dynamic sizes.",
        ),
    ] = None
    output: Annotated[
        str | None,
        _model(
            "--output",
            metavar="NAME",
            help="Use only this one of several outputs: its name, key or index (from 0). Default: all outputs.",
        ),
    ] = None
    slim: Annotated[
        bool,
        _model(
            "--slim",
            help="For a pruned network: first remove channels that are zero, constant or unused, where that does not "
            "change the function.",
        ),
    ] = False

    @property
    def names_one(self) -> bool:
        """Whether any option names the network."""
        return any(each is not None for each in (self.checkpoint, self.onnx, self.module))

    def open(self, *, variant: str | None = None) -> Source:
        """The network that the options name (of a bundle, the ``variant``); notes on it go to standard error.

        Raises :class:`~gdws.errors.GdwsError` if they name none, or name it in two ways, and everything that
        :mod:`gdws.networks.sources` raises.
        """
        return replace(self._opened(variant), choice=self.choice())

    def _opened(self, variant: str | None) -> Source:
        source = self._load(variant)
        if self.slim:
            from gdws import pipeline

            source = pipeline.slimmed(source)
        for note in source.notes:
            errors().print(f"note: {self.checkpoint or self.onnx or self.module}: {note}", markup=False)
        return source

    def _load(self, variant: str | None) -> Source:
        from gdws import pipeline

        of_zoo = {"--net": self.net, "--net-option": self.net_option}
        of_module = {"--module": self.module, "--module-option": self.module_option}
        file = None
        if self.checkpoint is not None:
            file = pipeline.WeightsFile(self.checkpoint, self.family, self.kept, self.prefix, variant)
        elif self.names_one:
            of_file = {"--family": self.family, "--kept": self.kept, "--prefix": self.prefix}
            _refuse("a network without CHECKPOINT", of_file)
        if self.onnx is not None:
            _refuse("--onnx", of_zoo | of_module)
            shape, output = _shape(self.input_shape), _output(self.output)
            return pipeline.load_onnx(self.onnx, shape, output=output, preprocessing=self.preprocessing(), weights=file)
        if self.module is not None:
            _refuse("--module", of_zoo)
            if (shape := _shape(self.input_shape)) is None:
                raise GdwsError("--module does not define the shape of its images", hint="give --input-shape C,H,W")
            options = named_values(self.module_option, "--module-option")
            return pipeline.load_module(
                self.module,
                shape,
                options=options,
                output=_output(self.output),
                preprocessing=self.preprocessing(),
                weights=file,
            )
        if file is None:
            raise GdwsError(
                "no network is named", hint="give a CHECKPOINT, --onnx FILE or --module PACKAGE.MODULE:FACTORY"
            )
        _refuse("a checkpoint", of_module | {"--input-shape": self.input_shape, "--output": self.output})
        of_zoo_options = named_values(self.net_option, "--net-option")
        if (preprocessing := self.preprocessing()) is not None:
            of_zoo_options["normalisation"] = self.normalisation or preprocessing.to_dict()
        return pipeline.load(
            file.path,
            self.net,
            family=file.family,
            kept=file.kept,
            prefix=file.prefix,
            variant=variant,
            **of_zoo_options,
        )


def named_values(texts: list[str] | None, option: str) -> dict[str, Any]:
    """``["width=16"]`` as names and values, which are parsed as JSON if possible. Raises :class:`GdwsError`."""
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
    """The index of an output if ``text`` is a number, otherwise its name."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def _shape(text: str | None) -> Shape | None:
    if text is None:
        return None
    sizes = numbers(text, "--input-shape")
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise GdwsError(
            f"--input-shape {text!r} is not the shape of an image or a signal",
            hint="e.g. --input-shape 3,224,224 for C,H,W, or 1,16000 for the C,L of a signal",
        )
    return tuple(sizes)


def _refuse(what: str, given: Mapping[str, object]) -> None:
    """Raise unless all of ``given`` are None."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise GdwsError(f"{' and '.join(names)} cannot be combined with {what}", hint="name the network in one way")
