"""Two classes that a network of a few channels tells apart, and an interrupt at a given step."""

from __future__ import annotations

import torch

from gdws.datasets import Dataset, Split
from gdws.training import TrainSettings


def toy(count: int, seed: int) -> Split:
    """Two classes, bright on the left or on the right, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = 0.3 * torch.rand(count, 1, 8, 8, generator=generator)
    images[labels == 0, :, :, :4] += 0.6
    images[labels == 1, :, :, 4:] += 0.6
    return Split(images, labels)


class Forbidden:
    """A split that must not be looked at."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the test split was asked for {name}")


DATA = Dataset("toy", 2, toy(24, 0), toy(8, 1), Forbidden())  # type: ignore[arg-type]
#: A network that learns it in a dozen epochs.
SMALL_NET = {"net": "mnist-preact-resnet", "net_options": {"width": 4, "classes": 2}}
#: Three epochs of a few seconds.
TRAINING = TrainSettings(
    net="mnist-preact-resnet",
    net_options={"width": 2, "classes": 2},
    epochs=3,
    batch_size=8,
    eps=0.1,
    iterations=2,
    validation_iterations=2,
    shift=1,
    seed=5,
)


class InterruptAt:
    """A progress that is interrupted at one of its steps, as by Ctrl-C."""

    def __init__(self, step: int) -> None:
        self.left = step

    def start(self, total: int, description: str) -> None:
        pass

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt
