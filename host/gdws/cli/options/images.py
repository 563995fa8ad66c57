"""Which images a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.views.output import errors
from gdws.errors import DataError

if TYPE_CHECKING:
    from gdws.datasets import Dataset
    from gdws.networks.sources import Shape
    from gdws.pipeline import Source

#: In place of a data set, where there is none: see :func:`gdws.datasets.random_images`.
RANDOM = "random"

DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        envvar="GDWS_DATA_ROOT",
        help="The folder where the data sets lie; nothing is downloaded.",
    ),
]


_OWN = "Images of your own"


class UnreadableName(str, Enum):
    """See :data:`gdws.datasets.own.Unreadable`."""

    refuse = "refuse"
    skip = "skip"


@dataclass(frozen=True)
class ImageOptions:
    """A data set by name, or images of the user's own."""

    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="Images: a data set by name (mnist-sample, mnist, fashion-mnist, cifar10, svhn or imagenet), or your "
            "own: a folder with a folder for each class, a folder of images without labels, a text file that lists "
            "paths, .npy or .npz, which may hold signals, too. random: noise, where no images are at hand, for speed "
            "alone.",
        ),
    ] = "mnist-sample"
    data_root: DataRoot = None
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="The names of the classes, one a line, in the order of the network's outputs. Default: the names of "
            "the folders, in order.",
            rich_help_panel=_OWN,
        ),
    ] = None
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations",
            metavar="PATH",
            help="What is in images of your own, for detectors and segmentation: a .json file of boxes as COCO has it, "
            "a folder of .txt files of boxes as YOLO has them, or a folder of .png masks. mAP or mean IoU follow.",
            rich_help_panel=_OWN,
        ),
    ] = None
    resize: Annotated[
        str,
        typer.Option(
            "--resize",
            metavar="HOW",
            help="How images get to the size that the network takes: stretch, crop (the shorter side fits, the middle "
            "is taken; crop:256 resizes the shorter side to 256 pixels first) or letterbox (all of the image, padded "
            "with grey).",
            rich_help_panel=_OWN,
        ),
    ] = "stretch"
    unreadable: Annotated[
        UnreadableName,
        typer.Option(
            "--unreadable",
            help="What to do with files that cannot be read as images: refuse, or skip, for which every file is read "
            "once at the start.",
            rich_help_panel=_OWN,
        ),
    ] = UnreadableName.refuse

    def open(self, source: Source, *, seed: int = 0) -> Dataset:
        """The data set as the network of ``source`` needs it; what is known of it is told on standard error.

        Raises :class:`DataError`, also if its images or classes are not the network's.
        """
        from gdws import datasets

        if self.data == RANDOM:
            self._refuse_own_options()
            return datasets.random_images(source.module, source.input_shape)
        data = datasets.for_network(self._load(source.input_shape, seed), source.module, source.input_shape)
        for note in data.notes:
            errors().print(f"note: {note}", markup=False)
        return data

    def _load(self, shape: Shape, seed: int) -> Dataset:
        from gdws import datasets

        if self.data in datasets.names():
            self._refuse_own_options()
            return datasets.load(self.data, seed=seed, root=self.data_root)
        if not Path(self.data).exists():
            raise DataError(
                f"--data {self.data!r} is neither a data set nor a file or folder",
                hint=f"the data sets are: {', '.join(datasets.names())}; {RANDOM} is noise",
            )
        return datasets.open_images(
            self.data,
            shape,
            labels=self.labels,
            annotations=self.annotations,
            resize=self.resize,
            unreadable="skip" if self.unreadable is UnreadableName.skip else "refuse",
            seed=seed,
        )

    def _refuse_own_options(self) -> None:
        given = {
            "--labels": self.labels is not None,
            "--annotations": self.annotations is not None,
            "--resize": self.resize != "stretch",
        }
        names = [name for name, is_given in given.items() if is_given]
        if names:
            raise DataError(
                f"{' and '.join(names)} is for images of your own, and --data {self.data} is a data set",
                hint=f"leave it out, or give a path, e.g. --data ./{self.data}",
            )
