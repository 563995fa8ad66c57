"""Options for quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gdws.onnx_io.int8 import Int8Settings


class Int8Reader(str, Enum):
    """The runtime that an INT8 file is for; see ``gdws.onnx_io.int8.points``."""

    tensorrt = "tensorrt"
    onnxruntime = "onnxruntime"


_SCHEMES: dict[Int8Reader, Any] = {Int8Reader.tensorrt: "symmetric", Int8Reader.onnxruntime: "asymmetric"}
_FOR = "symmetric (tensorrt) or with free zero points (onnxruntime)"


@dataclass(frozen=True)
class Int8Options:
    """INT8 variants."""

    int8: Annotated[
        Int8Reader | None,
        typer.Option(
            "--int8",
            help=f"Add an INT8 version of each network, including the dense one, for this runtime: {_FOR}.",
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
    int8_keep: Annotated[
        int,
        typer.Option(
            "--int8-keep",
            metavar="N",
            min=0,
            help="Keep the N layers of each network in floating point whose rounding moves its outputs most.",
        ),
    ] = 0
    int8_limit: Annotated[
        float | None,
        typer.Option(
            "--int8-limit",
            metavar="ERROR",
            help="Keep as few of those layers in floating point as bring the error of the outputs down to ERROR, "
            "relative to their size (RMS, on calibration images that ranges are not taken from), e.g. 0.02.",
        ),
    ] = None

    def quantisation(self) -> Int8Settings | None:
        """Settings of the quantisation; None without quantisation. Raises :class:`~gdws.errors.GdwsError`."""
        from gdws.errors import GdwsError
        from gdws.onnx_io.int8 import Int8Settings

        if self.int8 is None:
            if self.int8_skip or self.int8_keep or self.int8_limit is not None:
                raise GdwsError(
                    "--int8-skip, --int8-keep and --int8-limit are for networks in INT8", hint="also give --int8"
                )
            return None
        return Int8Settings(
            scheme=_SCHEMES[self.int8],
            skip=tuple(self.int8_skip or ()),
            keep=self.int8_keep,
            limit=self.int8_limit,
        )


@dataclass(frozen=True)
class TunedInt8Options(Int8Options):
    """The same, of the one network that is fine-tuned."""

    int8: Annotated[
        Int8Reader | None,
        typer.Option(
            "--int8",
            help=f"Quantise the network first, and fine-tune it as it is rounded, for this runtime: {_FOR}. Written as "
            "ONNX.",
        ),
    ] = None
