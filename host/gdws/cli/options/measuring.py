"""Options for the measuring protocol, and for power mode and clocks of a Jetson."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gdws.cli.options.agents import given, milliseconds
from gdws.cli.options.common import numbers, words
from gdws.cli.options.groups import panel

_measuring = panel("Measurement")
_jetson = panel("Power modes, energy and temperature (Jetson)")

Threads = Annotated[
    int | None,
    _measuring(
        "--threads", help="CPU threads. Default: the number recorded in the bundle, else one for each physical core."
    ),
]

Tolerance = Annotated[
    float | None,
    _measuring("--tolerance", help="Parity tolerance: largest relative difference of logits. Default: 1e-3."),
]

JetsonClocks = Annotated[
    bool | None,
    _jetson(
        "--jetson-clocks/--no-jetson-clocks",
        help="Fix the clocks at their maximum, or let them vary; restored afterwards. Default: unchanged.",
    ),
]


@dataclass(frozen=True)
class CellOptions:
    """The cells to measure: each network in each setting."""

    batch: Annotated[str, typer.Option("--batch", metavar="N,...", help="Batch sizes.")] = "1"
    variants: Annotated[
        str | None, typer.Option("--variants", metavar="NAME,...", help="Networks of the bundle. Default: all.")
    ] = None
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="NAME,...", help="Runtimes. Default: the device's best.")
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
class BackendOptions:
    """A backend, with precision and batch size."""

    backend: Annotated[
        str | None, typer.Option("--backend", metavar="NAME", help="Runtime. Default: the device's best.")
    ] = None
    precision: Annotated[str, typer.Option("--precision", metavar="NAME", help="E.g. fp16.")] = "fp32"
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Batch size.")] = 1


@dataclass(frozen=True)
class OneCellOptions(BackendOptions):
    """One network in one setting."""

    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="Network of the bundle. Default: the dense one.")
    ] = None


@dataclass(frozen=True)
class MeasuringOptions:
    """The protocol of a measurement."""

    rounds: Annotated[
        int | None,
        _measuring("--rounds", help="Rounds, in each of which every network is measured in turn. Default: 10."),
    ] = None
    min_duration: Annotated[
        float | None,
        _measuring(
            "--min-duration",
            metavar="SECONDS",
            help="Measured time of each cell. Energy needs at least 10. Default: 3.",
        ),
    ] = None
    min_iterations: Annotated[
        int | None,
        _measuring("--min-iterations", help="Minimum number of measured inferences of each cell. Default: 100."),
    ] = None
    warmup: Annotated[
        float | None,
        _measuring(
            "--warmup", metavar="SECONDS", help="Minimum warm-up, continued until times are steady. Default: 0.2."
        ),
    ] = None
    threads: Threads = None
    tolerance: Tolerance = None
    seed: Annotated[
        int | None, _measuring("--seed", help="Seed for the order of networks in the rounds. Default: 0.")
    ] = None
    power_mode: Annotated[
        list[str] | None,
        _jetson(
            "--power-mode",
            metavar="NAME|NUMBER",
            help="Measure in this mode of nvpmodel; restored afterwards. Repeatable. Default: the current mode.",
        ),
    ] = None
    jetson_clocks: JetsonClocks = None
    idle: Annotated[
        float | None,
        _jetson(
            "--idle",
            metavar="SECONDS",
            help="Measure the idle power first, to report net energy as well. Default: 0.",
        ),
    ] = None
    sustained: Annotated[
        float | None,
        _jetson(
            "--sustained",
            metavar="SECONDS",
            help="Then run each network this long without a pause, for the FPS under thermal limits. Default: off.",
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
        """Modes of nvpmodel for the contract."""
        return [power_mode(name) for name in self.power_mode] if self.power_mode else None


def power_mode(text: str) -> str | int:
    """A mode of nvpmodel for the contract: its number if ``text`` is one, otherwise its name."""
    return int(text) if text.isascii() and text.isdigit() else text
