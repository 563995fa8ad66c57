"""What a network expects of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.datasets import Preprocessing

_PIXELS = "What the network expects of pixels"


class ChannelOrderName(str, Enum):
    """See :data:`gdws.datasets.preprocessing.ChannelOrder`."""

    rgb = "rgb"
    bgr = "bgr"


@dataclass(frozen=True)
class PixelOptions:
    """What is done to pixels, RGB from 0 to 1, before a network sees them: it becomes the network's first layer."""

    normalisation: Annotated[
        str | None,
        typer.Option(
            "--normalisation",
            metavar="NAME",
            help="Mean and deviation by name: cifar10, svhn, imagenet or none. Default: what the family of a "
            "checkpoint does; none for --onnx and --module.",
            rich_help_panel=_PIXELS,
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            "--mean",
            metavar="X,...",
            help="What is subtracted from pixels, for each channel or one for all, in the network's order of channels "
            "and after --scale: e.g. 0.485,0.456,0.406.",
            rich_help_panel=_PIXELS,
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            "--std",
            metavar="X,...",
            help="What pixels are divided by after that, e.g. 0.229,0.224,0.225.",
            rich_help_panel=_PIXELS,
        ),
    ] = None
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            metavar="X",
            help="What pixels from 0 to 1 are multiplied by first: 255 for a network that takes bytes.",
            rich_help_panel=_PIXELS,
        ),
    ] = None
    channels: Annotated[
        ChannelOrderName | None,
        typer.Option(
            "--channels",
            help="The order of channels that the network takes: bgr where it was trained on what OpenCV reads.",
            rich_help_panel=_PIXELS,
        ),
    ] = None

    def preprocessing(self) -> Preprocessing | None:
        """What the options say; None where they say nothing.

        Raises :class:`~gdws.errors.GdwsError` for values that cannot be.
        """
        from gdws.datasets import Preprocessing
        from gdws.networks.zoo.normalise import preprocessing_of

        given = {
            "mean": None if self.mean is None else _numbers(self.mean, "--mean"),
            "std": None if self.std is None else _numbers(self.std, "--std"),
            "scale": self.scale,
            "channels": None if self.channels is None else self.channels.value,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        if self.normalisation is None:
            return Preprocessing.from_dict(chosen) if chosen else None
        if chosen:
            raise GdwsError(
                f"--normalisation names mean and deviation, and so does --{next(iter(chosen))}",
                hint="give them by name or as numbers",
            )
        return Preprocessing() if self.normalisation == "none" else preprocessing_of(self.normalisation)


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise GdwsError(f"{option} {text!r} is not a list of numbers", hint=f"e.g. {option} 0.5,0.5,0.5") from None
