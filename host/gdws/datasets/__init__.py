"""Images and labels, split once and for all into training, validation and test."""

from __future__ import annotations

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

__all__ = [
    "Dataset",
    "Split",
    "check_images",
    "cifar10",
    "fashion_mnist",
    "imagenet",
    "load",
    "mnist",
    "mnist_sample",
    "names",
    "random_images",
    "svhn",
]
