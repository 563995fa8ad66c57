"""What is done to networks once they are converted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec
    from gdws.onnx_io.int8 import Int8Settings
    from gdws.training import DistillSettings


class Int8Reader(str, Enum):
    """Who reads a file in INT8; see ``gdws.onnx_io.int8.points``."""

    tensorrt = "tensorrt"
    onnxruntime = "onnxruntime"


_SCHEMES: dict[Int8Reader, Any] = {Int8Reader.tensorrt: "symmetric", Int8Reader.onnxruntime: "asymmetric"}


@dataclass(frozen=True)
class AfterOptions:
    """Distillation, and forms in INT8."""

    distill: Annotated[
        int,
        typer.Option(
            "--distill",
            metavar="STEPS",
            min=0,
            help="Bring each GDWS network nearer to the dense one by so many gradient steps on calibration images, "
            "half of them attacked; no label is used. 80 take minutes on a CPU.",
        ),
    ] = 0
    int8: Annotated[
        Int8Reader | None,
        typer.Option(
            "--int8",
            help="Add to each network, the dense one too, its form in INT8, as this runtime reads it best: with zero "
            "points of 0 for tensorrt, or free ones for onnxruntime.",
        ),
    ] = None
    int8_skip: Annotated[
        list[str] | None,
        typer.Option(
            "--int8-skip",
            metavar="PATTERN",
            help="Leave layers of this name or shell pattern in floating point, as ONNX has them. Repeatable.",
        ),
    ] = None

    def distillation(self, attack: Spec | None, *, seed: int) -> DistillSettings | None:
        """How to distil a network that is to resist ``attack``; None for not at all."""
        from gdws.evaluation.attacks.protocols import one_step
        from gdws.training import DistillSettings

        if not self.distill:
            return None
        return DistillSettings(steps=self.distill, attack=None if attack is None else one_step(attack), seed=seed)

    def quantisation(self) -> Int8Settings | None:
        """How to quantise; None for not at all."""
        from gdws.onnx_io.int8 import Int8Settings

        return None if self.int8 is None else Int8Settings(scheme=_SCHEMES[self.int8], skip=tuple(self.int8_skip or ()))
