"""Which images a network was fitted to."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from gdws.errors import DataError
from gdws_contract.plan import CalibrationSet

#: Fewer cannot be parted into images to fit to and images to choose by.
LEAST_IMAGES = 10


def identify(images: Tensor) -> CalibrationSet:
    """Return how many ``images`` (N, C, H, W) there are, and their hash.

    Raises :class:`~gdws.errors.DataError` if they are no images, hold NaN or infinity, are fewer than ten, or are all
    the same. Their range is the network's business: not every network takes pixels from 0 to 1.
    """
    if images.ndim not in (2, 3, 4) or not images.is_floating_point():
        raise DataError(
            f"calibration images of shape {tuple(images.shape)} and type {images.dtype}",
            hint="give images (N, C, H, W) or signals (N, C, L) of floats, as the network takes them",
        )
    if len(images) < LEAST_IMAGES:
        raise DataError(
            f"{len(images)} calibration images", hint=f"give at least {LEAST_IMAGES}; some hundreds do well"
        )
    if not torch.isfinite(images).all():
        raise DataError("the calibration images hold NaN or infinity")
    if bool((images == images[:1]).all()):
        raise DataError("the calibration images are all the same", hint="give different images, as the network meets")
    values = images.detach().to("cpu", torch.float32).contiguous().numpy()
    digest = hashlib.sha256(repr(values.shape).encode() + values.astype("<f4").tobytes())
    return CalibrationSet(images=len(images), sha256=digest.hexdigest())
