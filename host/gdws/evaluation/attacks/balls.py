"""The sets that perturbed images may lie in: a ball of a norm around each image, within the pixel range [0, 1].

All tensors of images are (N, C, H, W); ``eps`` is the radius. Images lie in [0, 1], so cutting a point of the ball to
that range brings it nearer to the image and keeps it in the ball.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gdws._util.seeds import derive_seed


def project(x: Tensor, images: Tensor, eps: float, norm: str) -> Tensor:
    """The points of the balls around ``images`` nearest to ``x``, then cut to [0, 1]."""
    if norm == "linf":
        return torch.clamp(x, (images - eps).clamp(min=0), (images + eps).clamp(max=1))
    delta = x - images
    delta = _onto_l2(delta, eps) if norm == "l2" else _onto_l1(delta, eps)
    return (images + delta).clamp(0, 1)


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """The step of length 1 in ``norm`` (linf or l2) along which a linear function rises most; 0 where it is flat.

    A pixel whose slope is not finite is left where it is.
    """
    gradient = finite(gradient)
    if norm == "linf":
        return gradient.sign()
    direction: Tensor = gradient / lengths(gradient).clamp(min=torch.finfo(gradient.dtype).tiny)
    return direction


def finite(gradient: Tensor) -> Tensor:
    """``gradient``, 0 where it is NaN or infinite, as that of a square root is at 0."""
    return gradient.nan_to_num(0.0, 0.0, 0.0)


def starts(images: Tensor, indices: Tensor, restart: int, *, eps: float, norm: str, seed: int) -> Tensor:
    """A uniform draw from the ball of each image, cut to [0, 1].

    That of an image depends on ``seed``, its index (N,) and ``restart`` alone.
    """
    noise = torch.empty(images.shape)
    generator = torch.Generator()
    for row, index in zip(noise, indices.tolist(), strict=True):
        generator.manual_seed(derive_seed(seed, "start", restart, index))
        _draw(row, eps, norm, generator)
    return (images + noise.to(images)).clamp(0, 1)


def lengths(delta: Tensor) -> Tensor:
    """The Euclidean norm of each image, (N, 1, 1, 1)."""
    return expanded(norms_of(delta, "l2"), delta.shape)


def _draw(row: Tensor, eps: float, norm: str, generator: torch.Generator) -> None:
    """Fill ``row`` with a uniform draw from the ball about 0."""
    if norm == "linf":
        row.uniform_(-eps, eps, generator=generator)
        return
    # A direction from independent normal (Laplace) variables, and the radius that makes the volume uniform.
    if norm == "l2":
        row.normal_(generator=generator)
        row /= row.norm()
    else:
        row.exponential_(generator=generator)
        row /= row.sum()
        row *= torch.randint(0, 2, row.shape, generator=generator) * 2 - 1
    row *= eps * float(torch.rand((), generator=generator)) ** (1 / row.numel())


def _onto_l2(delta: Tensor, eps: float) -> Tensor:
    norms = lengths(delta)
    # Where the norm exceeds eps it is positive; the quotient is not used elsewhere.
    return delta * torch.where(norms > eps, eps / norms.clamp(min=torch.finfo(norms.dtype).tiny), 1.0)


def _onto_l1(delta: Tensor, eps: float) -> Tensor:
    """The Euclidean projection onto the l_1 ball (Duchi et al., 2008): shrink all coordinates by one amount."""
    flat = delta.flatten(1)
    magnitudes = flat.abs()
    descending = magnitudes.sort(dim=1, descending=True).values
    excess = descending.cumsum(dim=1) - eps
    counts = torch.arange(1, flat.shape[1] + 1, device=flat.device, dtype=flat.dtype)
    # Those coordinates stay whose shrunk value is positive; they come first in descending order.
    staying = (descending * counts > excess).sum(dim=1, keepdim=True).clamp(min=1)
    shrink = excess.gather(1, staying - 1) / staying
    outside = magnitudes.sum(dim=1, keepdim=True) > eps
    projected = flat.sign() * (magnitudes - shrink).clamp(min=0)
    return torch.where(outside, projected, flat).view_as(delta)


def norms_of(delta: Tensor, norm: str) -> Tensor:
    """The norm of each perturbation, (N,)."""
    order = {"linf": math.inf, "l2": 2, "l1": 1}[norm]
    norms: Tensor = torch.linalg.vector_norm(delta.flatten(1), ord=order, dim=1)
    return norms


def expanded(values: Tensor, like: Sequence[int]) -> Tensor:
    """``values`` (N,) as (N, 1, ..., 1), to multiply images of shape ``like``."""
    return values.reshape(-1, *[1] * (len(like) - 1))
