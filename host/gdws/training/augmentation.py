"""Random augmentation of training images."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 (the customary name)


def shift_images(images: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Shift each image (N, C, H, W) by up to ``most`` pixels each way, drawn uniformly; the border is 0."""
    if most == 0:
        return images
    count, channels, height, width = images.shape
    padded = F.pad(images, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    rows = (down + torch.arange(height)).to(images.device)
    columns = (right + torch.arange(width)).to(images.device)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def flip_images(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image (N, C, H, W) left to right, with probability 1/2."""
    mirrored = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator).bool().to(images.device)
    return torch.where(mirrored, images.flip(-1), images)
