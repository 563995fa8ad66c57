"""Whether there are enough calibration images for the ranks that are asked for: known before anything is fitted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from gdws.compression.surgery import Layer
from gdws.errors import DataError, GdwsWarning
from gdws_contract.plan import Plan

#: One image in so many is kept to choose the ridge by.
HELD_OUT = 5
#: Fewer patches for each component than this, and the factors follow the images at hand rather than those to come.
#: Patches of one image are alike, so this is more than independent samples would need.
_ENOUGH = 10


@dataclass(frozen=True)
class Demand:
    """The components that are fitted to the output of a layer, and the patches that an image has there."""

    layer: str
    components: int
    patches_per_image: int

    def images(self, patches_per_component: int) -> int:
        """The fewest calibration images with so many patches for each component, held-out images not counted."""
        fitted = -(-self.components * patches_per_component // self.patches_per_image)
        return -(-fitted * HELD_OUT // (HELD_OUT - 1))


def demands(plan: Plan, layers: Sequence[Layer]) -> list[Demand]:
    """What each weight that ``plan`` converts asks for; ``layers`` are those that run."""
    patches: dict[str, int] = {}
    for layer in layers:
        holder = layer.shares or layer.name
        here = sum(height * width for height, width in layer.grids or ())
        patches[holder] = patches.get(holder, 0) + here
    ranks = {layer.name: layer.ranks for layer in plan.converted}
    return [Demand(name, sum(ranks.get(name) or ()), count) for name, count in patches.items() if count]


def check_images(plan: Plan, layers: Sequence[Layer], images: int) -> None:
    """Raise :class:`~gdws.errors.DataError` where so many ``images`` have fewer patches than a layer has components.

    Warns with :class:`~gdws.errors.GdwsWarning` where they have hardly more.
    """
    asked = demands(plan, layers)
    if not asked:
        return
    most = max(asked, key=lambda demand: demand.images(1))
    if images < most.images(1):
        raise DataError(
            f"{images} calibration images are too few: layer {most.layer!r} has {most.components:,} components, and an "
            f"image gives it {most.patches_per_image:,} patches",
            hint=f"calibrate on at least {most.images(1):,} images, better on {most.images(_ENOUGH):,}, or ask for a "
            "smaller rank",
        )
    scarce = [demand.layer for demand in asked if images < demand.images(_ENOUGH)]
    if scarce:
        warnings.warn(
            f"{images} calibration images are few for {len(scarce)} of {len(asked)} layers, most of all for "
            f"{most.layer!r}: {most.components:,} components are fitted to {most.patches_per_image:,} patches of each "
            f"image; what they compute on other images may be worse than it looks. Better are "
            f"{most.images(_ENOUGH):,} images or more",
            GdwsWarning,
            stacklevel=2,
        )
