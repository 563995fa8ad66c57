"""Options for a network's preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

from gdws.cli.options.groups import panel
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.datasets import Preprocessing

_pixels = panel("Preprocessing")


class ChannelOrderName(str, Enum):
    """See :data:`gdws.datasets.preprocessing.ChannelOrder`."""

    rgb = "rgb"
    bgr = "bgr"


@dataclass(frozen=True)
class PixelOptions:
    """The preprocessing of RGB pixels in [0, 1], which becomes the network's first layer."""

    normalisation: Annotated[
        str | None,
        _pixels(
            "--normalisation",
            metavar="NAME",
            help="Mean and deviation by name: cifar10, svhn, imagenet or none. Default: that of the checkpoint's "
            "family; none for --onnx and --module.",
        ),
    ] = None
    mean: Annotated[
        str | None,
        _pixels(
            "--mean",
            metavar="X,...",
            help="Mean that is subtracted from pixels after --scale, per channel in the network's channel order or "
            "one for all, e.g. 0.485,0.456,0.406.",
        ),
    ] = None
    std: Annotated[
        str | None,
        _pixels(
            "--std", metavar="X,...", help="Standard deviation that pixels are then divided by, e.g. 0.229,0.224,0.225."
        ),
    ] = None
    scale: Annotated[
        float | None,
        _pixels(
            "--scale",
            metavar="X",
            help="Factor that pixels in [0, 1] are multiplied by first: 255 for a network that takes bytes.",
        ),
    ] = None
    channels: Annotated[
        ChannelOrderName | None,
        _pixels(
            "--channels",
            help="The network's channel order: bgr if it was trained on images read by OpenCV.",
        ),
    ] = None

    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing, or None if no option is given.

        Raises :class:`~gdws.errors.GdwsError` for invalid values.
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
                f"--normalisation and --{next(iter(chosen))} exclude each other",
                hint="give mean and deviation by name or as numbers",
            )
        return Preprocessing() if self.normalisation == "none" else preprocessing_of(self.normalisation)


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise GdwsError(f"{option} {text!r} is not a list of numbers", hint=f"e.g. {option} 0.5,0.5,0.5") from None
