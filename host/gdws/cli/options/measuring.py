"""How long and how exactly is measured, and in which state a Jetson is for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gdws.cli.options.agents import given, milliseconds
from gdws.cli.options.common import numbers, words

_MEASURING = "How long and how exactly is measured"
_JETSON = "Power modes, energy and heat (Jetson)"

Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="CPU threads. Default: as many as the bundle was planned for, else one for each physical core.",
        rich_help_panel=_MEASURING,
    ),
]

JetsonClocks = Annotated[
    bool | None,
    typer.Option(
        "--jetson-clocks/--no-jetson-clocks",
        help="Fix the clocks at their highest, or let them vary; restored afterwards. Default: as it is.",
        rich_help_panel=_JETSON,
    ),
]


@dataclass(frozen=True)
class CellOptions:
    """What is measured: each network in each setting."""

    batch: Annotated[str, typer.Option("--batch", metavar="N,...", help="Batch sizes.")] = "1"
    variants: Annotated[
        str | None, typer.Option("--variants", metavar="NAME,...", help="Networks of the bundle. Default: all.")
    ] = None
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="NAME,...", help="Runtimes. Default: the best there is.")
    ] = None
    precision: Annotated[str, typer.Option("--precision", metavar="NAME,...", help="E.g. fp32,fp16.")] = "fp32"

    def fields(self) -> dict[str, Any]:
        """Those of :class:`gdws_contract.rest.BenchmarkRequest`. Raises :class:`~gdws.errors.GdwsError`."""
        return {
            "variants": words(self.variants),
            "backends": words(self.backends),
            "precisions": words(self.precision),
            "batch_sizes": numbers(self.batch, "--batch"),
        }


@dataclass(frozen=True)
class SettingOptions:
    """One network in one setting."""

    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="Network of the bundle. Default: the dense one.")
    ] = None
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="NAME", help="Runtime. Default: the best there is.")
    ] = None
    precision: Annotated[str, typer.Option("--precision", metavar="NAME", help="E.g. fp16.")] = "fp32"
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Batch size.")] = 1


@dataclass(frozen=True)
class MeasuringOptions:
    """The protocol of a measurement."""

    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", help="Windows of each cell; the networks take turns. Default: 10.", rich_help_panel=_MEASURING
        ),
    ] = None
    min_duration: Annotated[
        float | None,
        typer.Option(
            "--min-duration",
            metavar="SECONDS",
            help="Measured time of a cell. Energy needs 10 or more. Default: 3.",
            rich_help_panel=_MEASURING,
        ),
    ] = None
    min_iterations: Annotated[
        int | None,
        typer.Option(
            "--min-iterations", help="Measured inferences of a cell. Default: 100.", rich_help_panel=_MEASURING
        ),
    ] = None
    warmup: Annotated[
        float | None,
        typer.Option(
            "--warmup",
            metavar="SECONDS",
            help="Warm-up, then until steady. Default: 0.2.",
            rich_help_panel=_MEASURING,
        ),
    ] = None
    threads: Threads = None
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", help="Largest logit difference, relative. Default: 1e-3.", rich_help_panel=_MEASURING
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Orders the networks in the rounds. Default: 0.", rich_help_panel=_MEASURING),
    ] = None
    power_mode: Annotated[
        list[str] | None,
        typer.Option(
            "--power-mode",
            metavar="NAME|NUMBER",
            help="Measure in this mode of nvpmodel; the former is restored. Repeatable. Default: as it is.",
            rich_help_panel=_JETSON,
        ),
    ] = None
    jetson_clocks: JetsonClocks = None
    idle: Annotated[
        float | None,
        typer.Option(
            "--idle",
            metavar="SECONDS",
            help="Idle before measuring, to report energy net of the idle power too. Default: 0.",
            rich_help_panel=_JETSON,
        ),
    ] = None
    sustained: Annotated[
        float | None,
        typer.Option(
            "--sustained",
            metavar="SECONDS",
            help="Then run each network this long without a pause: the FPS that heat allows. Default: not.",
            rich_help_panel=_JETSON,
        ),
    ] = None

    def protocol(self) -> dict[str, Any]:
        """The fields of :class:`gdws_contract.rest.Protocol` that were given."""
        return given(
            rounds=self.rounds,
            min_duration_ms=milliseconds(self.min_duration),
            min_iterations=self.min_iterations,
            warmup_ms=milliseconds(self.warmup),
            threads=self.threads,
            parity_tolerance=self.tolerance,
            seed=self.seed,
            idle_ms=milliseconds(self.idle),
            sustained_ms=milliseconds(self.sustained),
        )

    def power_modes(self) -> list[str | int] | None:
        """Modes of nvpmodel as the contract has them: a number is a mode's number, all else its name."""
        if not self.power_mode:
            return None
        return [int(name) if name.isascii() and name.isdigit() else name for name in self.power_mode]
