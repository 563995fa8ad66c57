"""Identification of the images that a network was fitted to."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from gdws.errors import DataError
from gdws_contract.plan import CalibrationSet

#: Fewer images cannot be split into images to fit to and held-out images.
LEAST_IMAGES = 10


def identify(images: Tensor) -> CalibrationSet:
    """Return how many ``images`` (N, C, H, W) there are, and their hash.

    Raises :class:`~gdws.errors.DataError` if they are not images, contain NaN or infinity, are fewer than ten, or are
    all the same. Their range is not checked: not every network takes pixels in [0, 1].
    """
    if images.ndim not in (2, 3, 4) or not images.is_floating_point():
        raise DataError(
            f"calibration images have shape {tuple(images.shape)} and type {images.dtype}",
            hint="give images (N, C, H, W) or signals (N, C, L) of floats, as the network takes them",
        )
    if len(images) < LEAST_IMAGES:
        raise DataError(
            f"{len(images)} calibration images are too few",
            hint=f"use at least {LEAST_IMAGES}, preferably some hundreds",
        )
    if not torch.isfinite(images).all():
        raise DataError("the calibration images contain NaN or infinity")
    if bool((images == images[:1]).all()):
        raise DataError(
            "the calibration images are all the same",
            hint="use different images of the kind that the network will process",
        )
    values = images.detach().to("cpu", torch.float32).contiguous().numpy()
    digest = hashlib.sha256(repr(values.shape).encode() + values.astype("<f4").tobytes())
    return CalibrationSet(images=len(images), sha256=digest.hexdigest())
