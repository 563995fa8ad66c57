"""Which network a command works on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options.common import numbers
from gdws.cli.options.pixels import PixelOptions
from gdws.cli.options.task import TaskOptions
from gdws.cli.views.output import errors
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.networks.sources import Shape
    from gdws.pipeline import Source

_CHECKPOINT = "Checkpoints of other projects"
_MODEL = "Networks of your own, and pruned ones"


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
        typer.Option("--net", metavar="NAME", help="The network, where the file does not name it: see gdws nets."),
    ] = None
    net_option: Annotated[
        list[str] | None,
        typer.Option(
            "--net-option",
            metavar="NAME=VALUE",
            help="An option of the network, e.g. classes=100. Repeatable.",
            rich_help_panel=_CHECKPOINT,
        ),
    ] = None
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            metavar="NAME",
            help="Whose file it is: authors, svhn (Rice et al.), hydra, admm, msd, robnet, madrylab or plain. Default: "
            "recognised by its structure, except svhn, which looks like plain.",
            rich_help_panel=_CHECKPOINT,
        ),
    ] = None
    kept: Annotated[
        float | None,
        typer.Option(
            "--kept",
            metavar="SHARE",
            help="Of a file with popup scores (HYDRA): the share of its weights that each layer keeps, as it was "
            "trained, "
            "e.g. 0.1.",
            rich_help_panel=_CHECKPOINT,
        ),
    ] = None
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix",
            metavar="NAME",
            help="Where in the file the network is, if it holds several, e.g. state_dict_ema or ema_model. What "
            "wrappers put before the names of one network is found without it.",
            rich_help_panel=_CHECKPOINT,
        ),
    ] = None
    onnx: Annotated[
        Path | None,
        typer.Option(
            "--onnx",
            metavar="FILE",
            help="The network in an ONNX file, in place of a checkpoint: images (N, C, H, W) to outputs (N, ...).",
            rich_help_panel=_MODEL,
        ),
    ] = None
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="PACKAGE.MODULE:FACTORY",
            help="A network that Python code makes, e.g. torchvision.models:resnet18, with the weights of CHECKPOINT "
            "if one is given. The code runs; the current folder is looked in, too.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    module_option: Annotated[
        list[str] | None,
        typer.Option(
            "--module-option",
            metavar="NAME=VALUE",
            help="What the factory is called with, e.g. num_classes=10. Repeatable.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input-shape",
            metavar="C,H,W",
            help="Of an image, e.g. 3,224,224, or of a signal, e.g. 1,16000 for C,L. Needed with --module, and where "
            "an ONNX file leaves it open.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="The one output that counts, where the network gives several: its name, key or place, "
            "counted from 0. Without it all are kept.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    slim: Annotated[
        bool,
        typer.Option(
            "--slim",
            help="Of a pruned network: first remove channels that are zero, constant or not read, where that leaves "
            "the function as it is.",
            rich_help_panel=_MODEL,
        ),
    ] = False

    @property
    def names_one(self) -> bool:
        """Whether any option says which network it is."""
        return any(each is not None for each in (self.checkpoint, self.onnx, self.module))

    def open(self, *, variant: str | None = None) -> Source:
        """The network that the options name, of a bundle the ``variant``; notes on it go to standard error.

        Raises :class:`~gdws.errors.GdwsError` if they name none, or name it in two ways, and what
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
                raise GdwsError("--module does not tell how large its images are", hint="give --input-shape C,H,W")
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
