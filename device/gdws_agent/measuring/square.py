"""Square Attack on one image: random search by outputs alone (Andriushchenko et al., 2020, arXiv:1912.00049).

Untargeted, by the margin of the right class. Each query changes a square window of the perturbation and is kept if it
lowers the margin. Windows shrink as queries are spent. In l_inf a window gets a corner of the ball in each channel
(Algorithm 2), in l_2 a bump whose energy is taken from another window (Algorithm 3).

A search is driven from outside: it says what to ask, and is told the outputs. So many can share the batches of an
engine, each at a place of its own. All its draws come from a stream of the seed and the image's index: what it asks
depends on what it was told alone, not on the images beside it or before it. Pure.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Optional, Tuple

import numpy as np

from gdws_contract.attacks import AttackedImage, AttackOptions

#: The share of an image that the first windows cover, as in AutoAttack.
_FIRST_SHARE = 0.8
#: After so many of 10,000 queries the share is halved once more.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
#: The start in l_2 is a grid of so many bumps in each direction, at most.
_GRID = 5
_TINY = 1e-12


class Search:
    """The attack on one ``image`` (C, H, W), float32 in [0, 1], of the class ``label``.

    ``options`` have norm and radius. Ask for :meth:`query` and answer with :meth:`take` until :attr:`result` is there.
    """

    def __init__(self, image: np.ndarray, label: int, index: int, options: AttackOptions) -> None:
        if options.norm is None or options.eps is None:
            raise ValueError("the attack is not resolved: norm and eps must be known")
        self._image = image
        self._label = label
        self._index = index
        self._total = options.queries
        self._ball: _Ball = (_LInf if options.norm == "linf" else _L2)(image, options.eps)
        self._draws = np.random.Generator(np.random.PCG64(np.random.SeedSequence((options.seed, index))))
        self._best = image
        self._tried = image
        self._ahead = -math.inf  # of the best other class, over the right one
        self._unperturbed_ahead = -math.inf
        self._moved = False
        #: Perturbed images asked for so far.
        self.queries = -1  # the first query is the image as it is
        #: What became of the image; None while the search goes on.
        self.result: Optional[AttackedImage] = None

    def query(self) -> np.ndarray:
        """Return the next image to ask for, (C, H, W), within the ball and [0, 1]."""
        if self.queries == -1:
            self._tried = self._image
        elif self.queries == 0:
            self._tried = self._ball.start(self._draws)
        else:
            side = window_side(self.queries / self._total, self._image.shape[1], self._image.shape[2])
            self._tried = self._ball.step(self._best, side, self._draws)
        return self._tried

    def take(self, logits: np.ndarray) -> None:
        """Take the engine's outputs (K,) for the last query."""
        self.queries += 1
        is_finite = bool(np.isfinite(logits).all())
        if not is_finite or int(logits.argmax()) != self._label:  # NaN is no class
            self.result = AttackedImage(self._index, self.queries, is_finite)
            return
        ahead = float(np.delete(logits, self._label).max()) - float(logits[self._label])
        if self.queries == 0:
            self._unperturbed_ahead = ahead
        self._moved = self._moved or ahead != self._unperturbed_ahead
        if self.queries == 1 or ahead > self._ahead:  # the start counts even where it is no better
            self._best, self._ahead = self._tried, ahead
        if self.queries == self._total:
            self.result = AttackedImage(self._index, None, True, self._moved)


def window_side(spent: float, height: int, width: int) -> int:
    """Return the side of a window once the share ``spent`` of the queries is, at least 1 and within the image."""
    halvings = sum(10_000 * spent > after for after in _HALVINGS)
    side = round(math.sqrt(_FIRST_SHARE / 2**halvings * height * width))
    return min(max(side, 1), height, width)


class _Ball(ABC):
    """What may be asked for about one image."""

    def __init__(self, image: np.ndarray, eps: float) -> None:
        self._image = image
        self._eps = eps

    @abstractmethod
    def start(self, draws: np.random.Generator) -> np.ndarray:
        """Return the first perturbed image."""

    @abstractmethod
    def step(self, best: np.ndarray, side: int, draws: np.random.Generator) -> np.ndarray:
        """Return ``best`` with a window of that side changed."""


class _LInf(_Ball):
    def __init__(self, image: np.ndarray, eps: float) -> None:
        super().__init__(image, eps)
        self._corners = np.stack([np.clip(image - np.float32(eps), 0, 1), np.clip(image + np.float32(eps), 0, 1)])

    def start(self, draws: np.random.Generator) -> np.ndarray:
        """Vertical stripes at the ends of the range."""
        upper = _coins(draws, (self._image.shape[0], 1, self._image.shape[2]))
        return np.asarray(np.where(upper, self._corners[1], self._corners[0]))

    def step(self, best: np.ndarray, side: int, draws: np.random.Generator) -> np.ndarray:
        """One window at a corner of the ball in each channel."""
        rows, columns = _window(draws, side, best.shape)
        upper = _coins(draws, (best.shape[0], 1, 1))
        tried = best.copy()
        low, high = self._corners[0][:, rows, columns], self._corners[1][:, rows, columns]
        tried[:, rows, columns] = np.where(upper, high, low)
        return tried


class _L2(_Ball):
    def start(self, draws: np.random.Generator) -> np.ndarray:
        """A grid of bumps at full length."""
        channels, height, width = self._image.shape
        side = max(min(height, width) // _GRID, 1)
        down, across = min(height // side, _GRID), min(width // side, _GRID)
        delta = np.zeros(self._image.shape)
        top, left = (height - down * side) // 2, (width - across * side) // 2
        signs = _signs(draws, (channels, down, across))
        delta[:, top : top + down * side, left : left + across * side] = np.kron(signs, _eta(side))
        return self._at_length(delta)

    def step(self, best: np.ndarray, side: int, draws: np.random.Generator) -> np.ndarray:
        """A bump in one window and nothing in another, whose energy it gets, at full length."""
        channels, height, width = best.shape
        side = min(max(side, 3) | 1, height, width)
        delta = best.astype(np.float64) - self._image
        here, there = _window(draws, side, best.shape), _window(draws, side, best.shape)
        signs = _signs(draws, (channels, 1, 1))
        bump = _eta(side).T if _coins(draws, ()) else _eta(side)
        either = np.zeros((height, width), bool)
        either[here] = either[there] = True
        old = delta[(slice(None), *here)]
        new = bump * signs + old / _lengths(old)
        free = max(self._eps**2 - float((delta**2).sum()), 0.0) / channels
        energy = free + (delta**2 * either).sum(axis=(1, 2), keepdims=True)
        delta[(slice(None), *there)] = 0.0
        delta[(slice(None), *here)] = new / _lengths(new) * np.sqrt(energy)
        return self._at_length(delta)

    def _at_length(self, delta: np.ndarray) -> np.ndarray:
        """Return the image perturbed along ``delta`` at the length of the radius, cut to [0, 1]."""
        length = max(float(np.sqrt((delta**2).sum())), _TINY)
        return np.clip(self._image + self._eps / length * delta, 0, 1).astype(np.float32)


def _window(draws: np.random.Generator, side: int, shape: Tuple[int, ...]) -> Tuple[slice, slice]:
    """Return the rows and columns of a window, uniform among the places where it fits."""
    down, across = draws.random(2)
    top, left = int(down * (shape[1] - side + 1)), int(across * (shape[2] - side + 1))
    return slice(top, top + side), slice(left, left + side)


def _coins(draws: np.random.Generator, shape: Tuple[int, ...]) -> np.ndarray:
    """Return booleans, both alike probable. By ``random`` alone, whose streams stay the same in every NumPy."""
    return np.asarray(draws.random(shape) < 0.5)


def _signs(draws: np.random.Generator, shape: Tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.where(_coins(draws, shape), 1.0, -1.0))


def _lengths(windows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm in each channel, (C, 1, 1), never 0."""
    return np.asarray(np.maximum(np.sqrt((windows**2).sum(axis=(1, 2), keepdims=True)), _TINY))


def _eta(side: int) -> np.ndarray:
    """Return a bump of length 1, (side, side): its upper half rises towards its middle, its lower half falls."""
    upper = side // 2
    bump = np.concatenate([_pyramid(upper, side), -_pyramid(side - upper, side)])
    return np.asarray(bump / np.sqrt((bump**2).sum()))


def _pyramid(height: int, width: int) -> np.ndarray:
    """Return nested rectangles about the middle, the k-th adding 1 / k^2; of length 1, or empty."""
    pyramid = np.zeros((height, width))
    row, column = height // 2, width // 2
    for ring in range(max(height, width) // 2 + 1):
        rows = slice(max(row - ring, 0), min(row + ring + 1, height))
        columns = slice(max(column - ring, 0), min(column + ring + 1, width))
        pyramid[rows, columns] += 1 / (ring + 1) ** 2
    return np.asarray(pyramid / max(float(np.sqrt((pyramid**2).sum())), _TINY))
