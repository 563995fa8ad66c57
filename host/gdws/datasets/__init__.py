"""Images and labels with fixed training, validation and test splits."""

from __future__ import annotations

from gdws.datasets.for_network import for_network, require_shape
from gdws.datasets.images import Images, LazyImages
from gdws.datasets.labelling import labelled_by
from gdws.datasets.own import open_images
from gdws.datasets.preparation import Preparation, Resize
from gdws.datasets.preprocessing import Preprocessing
from gdws.datasets.registry import (
    Dataset,
    Split,
    check_images,
    cifar10,
    fashion_mnist,
    imagenet,
    load,
    mnist,
    mnist_sample,
    names,
    random_images,
    svhn,
)
from gdws.datasets.splits import check_pixels, require_images

__all__ = [
    "Dataset",
    "Images",
    "LazyImages",
    "Preparation",
    "Preprocessing",
    "Resize",
    "Split",
    "check_images",
    "check_pixels",
    "cifar10",
    "fashion_mnist",
    "for_network",
    "imagenet",
    "labelled_by",
    "load",
    "mnist",
    "mnist_sample",
    "names",
    "open_images",
    "random_images",
    "require_images",
    "require_shape",
    "svhn",
]
