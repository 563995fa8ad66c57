"""Options for what follows the conversion: distillation and quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.cli.options.int8 import Int8Options

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec
    from gdws.training import DistillSettings


@dataclass(frozen=True)
class AfterOptions(Int8Options):
    """Distillation, and INT8 variants."""

    distill: Annotated[
        int,
        typer.Option(
            "--distill",
            metavar="STEPS",
            min=0,
            help="Distil the dense network into each GDWS network by this many gradient steps on batches of training "
            "images, plain and attacked; no labels are used. 240 steps recover most of what small ranks lose, and take "
            "minutes on a CPU.",
        ),
    ] = 0

    def distillation(self, attack: Spec | None, *, seed: int) -> DistillSettings | None:
        """Settings of the distillation for a network that should resist ``attack``; None without distillation."""
        from gdws.evaluation.attacks.protocols import one_step
        from gdws.training import DistillSettings

        if not self.distill:
            return None
        return DistillSettings(steps=self.distill, attack=None if attack is None else one_step(attack), seed=seed)
