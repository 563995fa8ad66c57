"""Which images a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.errors import DataError

if TYPE_CHECKING:
    from gdws.datasets import Dataset
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


@dataclass(frozen=True)
class ImageOptions:
    """A data set by name."""

    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="NAME",
            help="Data set for images: mnist-sample, mnist, fashion-mnist, cifar10, svhn or imagenet; random: noise, "
            "labelled by the network itself, where no images are at hand.",
        ),
    ] = "mnist-sample"
    data_root: DataRoot = None

    def open(self, source: Source) -> Dataset:
        """A data set for a network. Raises :class:`DataError`, also if its images have another number of channels."""
        from gdws import datasets

        if self.data == RANDOM:
            return datasets.random_images(source.module, source.input_shape)
        data = datasets.load(self.data, root=self.data_root)
        shape = tuple(data.test.first(1).images.shape[1:])
        if shape[0] != source.input_shape[0]:
            theirs, ours = ("x".join(map(str, sizes)) for sizes in (shape, source.input_shape))
            raise DataError(
                f"the images of {self.data} are {theirs}, the network takes {ours}",
                hint=f"choose another data set with --data, or --data {RANDOM}",
            )
        return data

    def load(self, *, seed: int = 0) -> Dataset:
        """The data set as it is, split with ``seed``. Raises :class:`DataError`."""
        from gdws import datasets

        return datasets.load(self.data, seed=seed, root=self.data_root)
