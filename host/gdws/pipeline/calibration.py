"""Inputs of a conversion besides the weights: alphas, and calibration images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy.typing as npt
import torch
from torch import Tensor

from gdws._util.gradients import differentiable
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws._util.progress import SILENT, Progress
from gdws.compression import surgery
from gdws.compression.calibration.alphas import Method as AlphaMethod
from gdws.compression.calibration.alphas import alphas
from gdws.compression.eligibility import require_weights
from gdws.compression.independence import require_independence
from gdws.datasets import Split, check_images, check_pixels, require_shape
from gdws.evaluation.attacks import Spec
from gdws.evaluation.attacks.pgd import pgd
from gdws.evaluation.attacks.protocols import gentle
from gdws.evaluation.tasks import Classification
from gdws.networks import checkpoints
from gdws.networks.sources import Source

#: Up to this many classes alphas are computed exactly; beyond, that takes too long.
MANY_CLASSES = 100

#: Number of images in memory at a time while alphas are computed.
_BATCH = 64

Alphas = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class AlphaSettings:
    """The source of alphas: a ``file`` in the format of the paper's authors, or a number of ``images``; 0 for none.

    ``method`` and ``seed`` as for :func:`calibrate_alphas`.
    """

    images: int = 64
    file: Path | None = None
    method: AlphaMethod | None = None
    seed: int = 0

    @property
    def weighted(self) -> bool:
        """Whether errors are weighted at all."""
        return self.file is not None or self.images > 0


def find_alphas(
    source: Source, settings: AlphaSettings, images: Callable[[int], Split], *, progress: Progress = SILENT
) -> Alphas | None:
    """The alphas that ``settings`` ask for, None for none; ``images`` gives so many of the training split."""
    if settings.file is not None:
        return checkpoints.read_alphas(settings.file).alphas
    if settings.images == 0:
        return None
    found = images(settings.images)
    return calibrate_alphas(source, found, method=settings.method, seed=settings.seed, progress=progress)


def calibrate_alphas(
    source: Source,
    images: Split,
    *,
    method: AlphaMethod | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Alphas | None:
    """The weight of each input channel of each layer (Equation 8), from natural images of the training split.

    None without gradients, as through an ONNX graph: all input channels then have equal weights.

    ``method`` and ``seed`` as for :func:`gdws.compression.calibration.alphas.alphas`; by default the method is exact
    for up to :data:`MANY_CLASSES` classes, and by random signs for more, each of which would cost a backward pass.
    For tasks other than classification, the noise gains are those of the task's projection, by random signs.
    """
    if not differentiable(source.module):
        return None
    projection = None
    if not isinstance(source.task, Classification):
        projection = source.task.projection(source.module, images.images)
    if method is None:
        method = "random-signs" if projection is not None or classes(source) > MANY_CLASSES else "exact"
    progress.start(len(images), f"alphas from {len(images)} images")
    return alphas(
        source.module,
        images.batches(_BATCH),
        method=method,
        projection=projection,
        seed=seed,
        progress=progress.advance,
    ).alphas


@torch.no_grad()
def classes(source: Source) -> int:
    """The number of classes, after a check that the network returns logits."""
    require_weights(source.module)
    image = surgery.sample(source.module, source.input_shape)
    with evaluation_mode(source.module):
        return logits_of(source.module, image).shape[1]


def require_usable(source: Source) -> None:
    """Raise :class:`~gdws.errors.ModelError` unless outputs fit the task and each depends on one image only."""
    require_weights(source.module)
    require_independence(source.module, source.input_shape)
    _ = source.task


def calibration_images(
    source: Source, images: Split, attack: Spec | None, *, batch_size: int = 128, progress: Progress = SILENT
) -> Tensor:
    """Images (N, C, H, W) to fit a data-aware network to: ``images``, attacked on the network if it is to be robust.

    A few long steps of ``attack`` suffice: only the activations matter, not whether every image fools the network.
    Raises :class:`~gdws.errors.DataError` unless the network takes images of their shape and the pixels run from 0 to
    1, and :class:`~gdws.errors.ModelError` where there are no logits to attack.
    """
    require_shape("the calibration images", images.by_row.shape[1:], source.input_shape)
    if attack is None:
        pixels = images.images
        check_pixels(pixels)
        return pixels
    check_images(images.by_row, images.labels)
    require_usable(source)
    classes(source)
    short = gentle(attack, iterations=8)
    progress.start(len(images), f"attack {len(images)} calibration images")
    device = next(source.module.parameters()).device
    attacked: list[Tensor] = []
    with evaluation_mode(source.module):
        for indices in torch.split(torch.arange(len(images)), batch_size):
            x, y = images.by_row[indices].to(device), images.labels[indices].to(device)
            attacked.append(pgd(source.module, x, y, short, indices=indices).cpu())
            progress.advance(len(indices))
    return torch.cat(attacked)
