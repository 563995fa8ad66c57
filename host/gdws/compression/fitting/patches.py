"""Checks before fitting that there are enough calibration images for the requested ranks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from gdws.compression.surgery import Layer
from gdws.errors import DataError, GdwsWarning
from gdws_contract.plan import Plan

#: One image in this many is held out to choose the ridge.
HELD_OUT = 5
#: With fewer patches per component than this, the factors overfit. Patches of one image are correlated, so this is more
#: than independent samples would need.
_ENOUGH = 10


@dataclass(frozen=True)
class Demand:
    """The number of components fitted to the output of a layer, and of patches per image there."""

    layer: str
    components: int
    patches_per_image: int

    def images(self, patches_per_component: int) -> int:
        """The number of calibration images needed for this many patches per component, excluding held-out images."""
        fitted = -(-self.components * patches_per_component // self.patches_per_image)
        return -(-fitted * HELD_OUT // (HELD_OUT - 1))


def demands(plan: Plan, layers: Sequence[Layer]) -> list[Demand]:
    """The demand of each weight that ``plan`` converts; ``layers`` are those that run."""
    patches: dict[str, int] = {}
    for layer in layers:
        holder = layer.shares or layer.name
        here = sum(height * width for height, width in layer.grids or ())
        patches[holder] = patches.get(holder, 0) + here
    ranks = {layer.name: layer.ranks for layer in plan.converted}
    return [Demand(name, sum(ranks.get(name) or ()), count) for name, count in patches.items() if count]


def check_images(plan: Plan, layers: Sequence[Layer], images: int) -> None:
    """Raise :class:`~gdws.errors.DataError` if ``images`` images have fewer patches than a layer has components.

    Warns with :class:`~gdws.errors.GdwsWarning` if they have few more.
    """
    asked = demands(plan, layers)
    if not asked:
        return
    most = max(asked, key=lambda demand: demand.images(1))
    if images < most.images(1):
        raise DataError(
            f"{images} calibration images are too few: layer {most.layer!r} has {most.components:,} components, and an "
            f"image has only {most.patches_per_image:,} patches for it",
            hint=f"use at least {most.images(1):,} calibration images, preferably {most.images(_ENOUGH):,}, or a "
            "smaller rank",
        )
    scarce = [demand.layer for demand in asked if images < demand.images(_ENOUGH)]
    if scarce:
        warnings.warn(
            f"{images} calibration images are few for {len(scarce)} of {len(asked)} layers, especially for "
            f"{most.layer!r}, where {most.components:,} components are fitted to {most.patches_per_image:,} patches "
            f"per image: the factors may overfit. Use {most.images(_ENOUGH):,} images or more",
            GdwsWarning,
            stacklevel=2,
        )
