"""Options for the images that a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options.groups import panel
from gdws.cli.views.output import errors
from gdws.errors import DataError

if TYPE_CHECKING:
    from gdws.datasets import Dataset
    from gdws.networks.sources import Shape
    from gdws.pipeline import Source

#: Noise instead of a data set: see :func:`gdws.datasets.random_images`.
RANDOM = "random"

DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        envvar="GDWS_DATA_ROOT",
        help="Folder of the data sets; nothing is downloaded.",
    ),
]


_own = panel("Your own images")


class UnreadableName(str, Enum):
    """See :data:`gdws.datasets.own.Unreadable`."""

    refuse = "refuse"
    skip = "skip"


@dataclass(frozen=True)
class ImageOptions:
    """A data set by name, or the user's own images."""

    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="A data set by name (mnist-sample, mnist, fashion-mnist, cifar10, svhn or imagenet), or your own "
            "images: a folder with a subfolder for each class, a folder of images without labels, a text file that "
            "lists paths, .npy or .npz (also with signals). random: noise, for measuring speed only.",
        ),
    ] = "mnist-sample"
    data_root: DataRoot = None
    labels: Annotated[
        Path | None,
        _own(
            "--labels",
            metavar="FILE",
            help="File with the class names, one a line, in the order of the network's outputs. Default: the names "
            "of the folders, sorted.",
        ),
    ] = None
    annotations: Annotated[
        Path | None,
        _own(
            "--annotations",
            metavar="PATH",
            help="Ground truth for detection and segmentation, which gives mAP or mean IoU: a COCO .json file of "
            "boxes, a folder of YOLO .txt files, or a folder of .png masks.",
        ),
    ] = None
    resize: Annotated[
        str,
        _own(
            "--resize",
            metavar="HOW",
            help="How to resize images to the network's input: stretch, crop (resize the shorter side, then crop the "
            "centre; crop:256 resizes the shorter side to 256 pixels first) or letterbox (the whole image, padded "
            "with grey).",
        ),
    ] = "stretch"
    unreadable: Annotated[
        UnreadableName,
        _own(
            "--unreadable",
            help="Files that cannot be read as images are an error (refuse) or left out (skip), for which every file "
            "is read once at the start.",
        ),
    ] = UnreadableName.refuse

    def open(self, source: Source, *, seed: int = 0) -> Dataset:
        """The data set as the network of ``source`` needs it; notes on it go to standard error.

        Raises :class:`DataError`, also if its images or classes do not fit the network.
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
                hint=f"use one of {', '.join(datasets.names())}, {RANDOM} for noise, or an existing path",
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
                f"{' and '.join(names)} applies to your own images, but --data {self.data} is a data set",
                hint=f"leave it out, or give a path, e.g. --data ./{self.data}",
            )
