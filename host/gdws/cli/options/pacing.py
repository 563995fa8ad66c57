"""Inferences that arrive by a clock, and what is kept over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gdws.cli.options.agents import given, milliseconds
from gdws.cli.options.groups import panel
from gdws.errors import GdwsError

_paced = panel("Paced inferences (after the rounds)")


def paced(name: str, metavar: str | None, text: str, **limits: float) -> Any:
    """An option of paced inferences; ``text`` is its help, ``limits`` are ``min`` and ``max``."""
    return _paced(name, metavar=metavar, help=text, **limits)


@dataclass(frozen=True)
class PacingOptions:
    """Arrivals, deadlines and the search for the highest rate."""

    rate: Annotated[
        float | None, paced("--rate", "HZ", "Inferences arrive so often, e.g. a camera's frame rate. Default: not.")
    ] = None
    arrivals: Annotated[
        Path | None, paced("--arrivals", "FILE", "Or they arrive at these instants: ms from the start, one a line.")
    ] = None
    deadline: Annotated[
        float | None, paced("--deadline", "MS", "From arrival to outputs. Default: the period of the rate.")
    ] = None
    paced_duration: Annotated[
        float | None, paced("--paced-duration", "SECONDS", "Of the arrivals at a rate. Default: 10.")
    ] = None
    highest_rate: Annotated[
        bool, paced("--highest-rate", None, "Look for the highest rate that each network sustains.")
    ] = False
    max_miss_rate: Annotated[
        float | None,
        paced(
            "--max-miss-rate",
            "PERCENT",
            "With --highest-rate: more misses, and a rate is not sustained. Default: 0.",
            min=0,
            max=100,
        ),
    ] = None
    time_series: Annotated[
        int | None,
        typer.Option(
            "--time-series",
            metavar="POINTS",
            help="Store latency, power, temperatures and clocks over time, with at most N points (2 to 2000) per "
            "curve; gdws export --format perfetto draws them. Default: off.",
        ),
    ] = None

    def pacing(self) -> dict[str, Any] | None:
        """The fields of :class:`gdws_contract.pacing.Pacing`; None without arrivals. Raises :class:`GdwsError`."""
        if self.rate is None and self.arrivals is None and not self.highest_rate:
            if self.deadline is not None or self.paced_duration is not None or self.max_miss_rate is not None:
                raise GdwsError(
                    "--deadline, --paced-duration and --max-miss-rate are for arrivals by a clock",
                    hint="give --rate, --arrivals or --highest-rate",
                )
            return None
        if self.max_miss_rate is not None and not self.highest_rate:
            raise GdwsError(
                "--max-miss-rate is for --highest-rate",
                hint="add it; gdws gate --max-miss-rate judges the misses at one rate",
            )
        return given(
            rate_hz=self.rate,
            arrivals_ms=None if self.arrivals is None else read_instants(self.arrivals),
            duration_ms=milliseconds(self.paced_duration),
            deadline_ms=self.deadline,
            search=self.highest_rate or None,
            max_miss_rate=None if self.max_miss_rate is None else self.max_miss_rate / 100,
        )

    def series(self) -> dict[str, Any] | None:
        """The fields of :class:`gdws_contract.series.SeriesOptions`; None where nothing is kept."""
        return None if self.time_series is None else {"max_points": self.time_series}


def read_instants(path: Path) -> list[float]:
    """The instants in ``path``, in milliseconds: one a line, empty lines passed over.

    Raises:
        OSError: the file cannot be read.
        GdwsError: a line is not a number.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                found.append(float(line))
            except ValueError as error:
                raise GdwsError(
                    f"{path}, line {number}: {line.strip()[:40]!r} is not a number",
                    hint="write one instant a line, in milliseconds from the start",
                ) from error
    return found
