"""Square Attack: black-box random search (Andriushchenko et al., 2020, arXiv:1912.00049).

Each query changes a square window of the perturbation, and is kept if it lowers the margin of the right class. Windows
shrink as queries are spent. In l_inf a window gets a corner of the ball in each channel (Algorithm 2), in l_2 a bump
whose energy is taken from another window (Algorithm 3). A network cannot hide from it by its gradients.

All draws of an image depend on the seed and its index alone, so the result does not depend on batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdws._util.seeds import derive_seed
from gdws.evaluation.attacks import balls
from gdws.evaluation.attacks.ascent import margin

#: Norms that it is made for.
NORMS = ("linf", "l2")

#: The share of an image that the first windows cover, as in AutoAttack.
_FIRST_SHARE = 0.8
#: After so many of 10,000 queries the share is halved once more.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@torch.no_grad()
def square(
    model: nn.Module, images: Tensor, labels: Tensor, *, norm: str, eps: float, queries: int, seed: int, indices: Tensor
) -> Tensor:
    """Adversarial images (N, C, H, W) of ``images`` in [0, 1] with ``labels`` (N,), within ``eps`` in ``norm``.

    An image is left where its margin is lowest after ``queries`` queries, or at the first point that fools ``model``,
    which gives logits (N, classes). ``indices`` (N,) are the images' positions in their data set.
    """
    draws = _draw(indices, images.shape, queries, seed).to(images.device)
    found = (_stripes if norm == "linf" else _tiles)(images, draws, eps)
    ahead = margin(labels)(model(found))  # of another class over the right one
    for query in range(1, queries):
        rows = (ahead <= 0).nonzero().flatten()
        if len(rows) == 0:
            break
        x, best, here = images[rows], found[rows], draws.only(rows)
        side = _side(query / queries, images.shape)
        tried = _corner(x, best, here, query, side, eps) if norm == "linf" else _bump(x, best, here, query, side, eps)
        new = margin(labels[rows])(model(tried))
        better = new > ahead[rows]
        found[rows[better]], ahead[rows[better]] = tried[better], new[better]
    return found


@dataclass(frozen=True, eq=False)
class _Draws:
    """``places`` (N, queries, 4) in [0, 1): row and column of a window and of another; ``signs`` (N, queries, C)
    are -1 or 1, ``turned`` (N, queries) tells which bumps are transposed, ``start`` (N, C, W) signs of the start."""

    places: Tensor
    signs: Tensor
    turned: Tensor
    start: Tensor

    def only(self, rows: Tensor) -> _Draws:
        """Those of some images."""
        return _Draws(self.places[rows], self.signs[rows], self.turned[rows], self.start[rows])

    def to(self, device: torch.device) -> _Draws:
        """On ``device``."""
        return _Draws(self.places.to(device), self.signs.to(device), self.turned.to(device), self.start.to(device))


def _draw(indices: Tensor, shape: torch.Size, queries: int, seed: int) -> _Draws:
    channels, columns = shape[1], shape[3]
    generator, rows = torch.Generator(), []
    for index in indices.tolist():
        generator.manual_seed(derive_seed(seed, "square", index))
        rows.append(
            (
                torch.rand(queries, 4, generator=generator),
                torch.randint(0, 2, (queries, channels), generator=generator) * 2.0 - 1,
                torch.randint(0, 2, (queries,), generator=generator).bool(),
                torch.randint(0, 2, (channels, max(columns, 25)), generator=generator) * 2.0 - 1,
            )
        )
    places, signs, turned, start = (torch.stack(column) for column in zip(*rows, strict=True))
    return _Draws(places, signs, turned, start)


def _side(spent: float, shape: torch.Size) -> int:
    """The side of a window once the share ``spent`` of the queries is."""
    halvings = sum(10_000 * spent > after for after in _HALVINGS)
    height, width = shape[2:]
    side = round(math.sqrt(_FIRST_SHARE / 2**halvings * height * width))
    return min(max(side, 1), height, width)


def _stripes(images: Tensor, draws: _Draws, eps: float) -> Tensor:
    """The start in l_inf: vertical stripes at the ends of the range."""
    return (images + eps * draws.start[:, :, None, : images.shape[3]]).clamp(0, 1)


def _corner(images: Tensor, best: Tensor, draws: _Draws, query: int, side: int, eps: float) -> Tensor:
    """``best`` with one window at a corner of the l_inf ball in each channel."""
    window = _window(draws.places[:, query, :2], side, images.shape)
    corner = images + eps * draws.signs[:, query, :, None, None]
    return torch.where(window, corner, best).clamp(0, 1)


def _window(place: Tensor, side: int, shape: torch.Size) -> Tensor:
    """Where a square of that side lies, (N, 1, H, W) bool."""
    top, left = _top_left(place, side, shape)
    rows, columns = torch.arange(shape[2], device=place.device), torch.arange(shape[3], device=place.device)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + side)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + side)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def _top_left(place: Tensor, side: int, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """The first row and column of a window, each (N,), uniform among those where it fits."""
    room = torch.tensor([shape[2] - side + 1, shape[3] - side + 1], device=place.device)
    first = (place * room).long()
    return first[:, 0], first[:, 1]


def _tiles(images: Tensor, draws: _Draws, eps: float) -> Tensor:
    """The start in l_2: a grid of bumps, five by five, at full length."""
    count, channels, height, width = images.shape
    side = max(min(height, width) // 5, 1)
    down, across = min(height // side, 5), min(width // side, 5)
    signs = draws.start[:, :, : down * across].reshape(count, channels, down, across)
    grid = torch.kron(signs, _eta(side).to(images))
    delta = torch.zeros_like(images)
    top, left = (height - down * side) // 2, (width - across * side) // 2
    delta[:, :, top : top + down * side, left : left + across * side] = grid
    return _at_length(images, delta, eps)


def _bump(images: Tensor, best: Tensor, draws: _Draws, query: int, side: int, eps: float) -> Tensor:
    """``best`` with a bump in one window and nothing in another, whose energy it gets, at full length."""
    side = min(max(side, 3) | 1, *images.shape[2:])
    places = draws.places[:, query]
    delta = best - images
    here = _inside(places[:, :2], side, images.shape)
    first, second = _window(places[:, :2], side, images.shape), _window(places[:, 2:], side, images.shape)
    old = delta[here]
    bump = _eta(side).to(images)
    shape = torch.where(draws.turned[:, query, None, None], bump.T, bump)[:, None]
    new = shape * draws.signs[:, query, :, None, None] + old / _lengths(old).clamp(min=1e-12)
    free = (eps**2 - _energy(delta)).clamp(min=0) / images.shape[1]
    energy = free[:, None, None, None] + (delta * (first | second)).square().sum(dim=(2, 3), keepdim=True)
    delta = torch.where(second, 0.0, delta)
    delta[here] = new / _lengths(new).clamp(min=1e-12) * energy.sqrt()
    return _at_length(images, delta, eps)


def _inside(place: Tensor, side: int, shape: torch.Size) -> tuple[Tensor, ...]:
    """The indices of a window's pixels, which select (N, C, side, side)."""
    top, left = _top_left(place, side, shape)
    steps = torch.arange(side, device=place.device)
    images = torch.arange(len(place), device=place.device)[:, None, None, None]
    channels = torch.arange(shape[1], device=place.device)[None, :, None, None]
    return images, channels, (top[:, None] + steps)[:, None, :, None], (left[:, None] + steps)[:, None, None, :]


def _eta(side: int) -> Tensor:
    """A bump of length 1, (side, side): its upper half rises towards its middle, its lower half falls."""
    upper = side // 2
    bump = torch.cat([_pyramid(upper, side), -_pyramid(side - upper, side)])
    length: Tensor = torch.linalg.vector_norm(bump)
    return bump / length


def _pyramid(height: int, width: int) -> Tensor:
    """Nested rectangles about the middle, the k-th adding 1 / k^2; of length 1, or empty."""
    pyramid = torch.zeros(height, width)
    row, column = height // 2, width // 2
    for ring in range(max(height, width) // 2 + 1):
        rows = slice(max(row - ring, 0), min(row + ring + 1, height))
        columns = slice(max(column - ring, 0), min(column + ring + 1, width))
        pyramid[rows, columns] += 1 / (ring + 1) ** 2
    length: Tensor = torch.linalg.vector_norm(pyramid)
    return pyramid / length.clamp(min=1e-12)


def _at_length(images: Tensor, delta: Tensor, eps: float) -> Tensor:
    """``images`` perturbed along ``delta`` at length ``eps``, cut to [0, 1]."""
    return (images + eps * delta / balls.lengths(delta).clamp(min=1e-12)).clamp(0, 1)


def _lengths(windows: Tensor) -> Tensor:
    """The Euclidean norm in each channel, (N, C, 1, 1)."""
    lengths: Tensor = torch.linalg.vector_norm(windows, dim=(2, 3), keepdim=True)
    return lengths


def _energy(delta: Tensor) -> Tensor:
    """The squared Euclidean norm of each perturbation, (N,)."""
    return delta.flatten(1).square().sum(dim=1)
