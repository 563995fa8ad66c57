"""Options for what follows the conversion: distillation and quantisation."""

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
    """The runtime that an INT8 file is for; see ``gdws.onnx_io.int8.points``."""

    tensorrt = "tensorrt"
    onnxruntime = "onnxruntime"


_SCHEMES: dict[Int8Reader, Any] = {Int8Reader.tensorrt: "symmetric", Int8Reader.onnxruntime: "asymmetric"}


@dataclass(frozen=True)
class AfterOptions:
    """Distillation, and INT8 variants."""

    distill: Annotated[
        int,
        typer.Option(
            "--distill",
            metavar="STEPS",
            min=0,
            help="Distil the dense network into each GDWS network by this many gradient steps on calibration images, "
            "half of them attacked; no labels are used. 80 steps take minutes on a CPU.",
        ),
    ] = 0
    int8: Annotated[
        Int8Reader | None,
        typer.Option(
            "--int8",
            help="Add an INT8 version of each network, including the dense one, for this runtime: symmetric "
            "(tensorrt) or with free zero points (onnxruntime).",
        ),
    ] = None
    int8_skip: Annotated[
        list[str] | None,
        typer.Option(
            "--int8-skip",
            metavar="PATTERN",
            help="Keep layers with this ONNX name or shell pattern in floating point. Repeatable.",
        ),
    ] = None

    def distillation(self, attack: Spec | None, *, seed: int) -> DistillSettings | None:
        """Settings of the distillation for a network that should resist ``attack``; None without distillation."""
        from gdws.evaluation.attacks.protocols import one_step
        from gdws.training import DistillSettings

        if not self.distill:
            return None
        return DistillSettings(steps=self.distill, attack=None if attack is None else one_step(attack), seed=seed)

    def quantisation(self) -> Int8Settings | None:
        """Settings of the quantisation; None without quantisation."""
        from gdws.onnx_io.int8 import Int8Settings

        return None if self.int8 is None else Int8Settings(scheme=_SCHEMES[self.int8], skip=tuple(self.int8_skip or ()))
