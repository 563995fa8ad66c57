from __future__ import annotations

import pytest
import torch
from torch import nn

from gdws.compression.fitting import Calibration
from gdws.planning.search.options import offer


@pytest.mark.parametrize(("size", "kept"), [(6, {"stacked-1", "stacked-2"}), (4, {"stacked-1"}), (2, set())])
def test_options_are_left_out_that_the_images_are_too_few_to_fit_to(size: int, kept: set[str]):
    """Four fifths of the images are fitted to; the map of the layer has half the width."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, 2),
        )
    images = torch.rand(12, 1, size, size, generator=generator)
    found = offer(Calibration(module.eval(), images), (1, size, size))
    [layer] = found.space.layers
    names = {option.name for option in layer.options}
    assert {name for name in names if name in ("stacked-1", "stacked-2")} == kept
    assert found.unfitted["2"] > 0
    assert all(sum(option.ranks or ()) <= 0.8 * 12 * (size // 2) ** 2 for option in layer.options)
