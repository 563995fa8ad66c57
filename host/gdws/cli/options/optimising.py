"""What a network is optimised for, what it may lose, and how it is to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gdws.cli.options.agents import given, milliseconds
from gdws.cli.options.measuring import JetsonClocks
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec
    from gdws.onnx_io.int8 import Int8Settings
    from gdws.pipeline.optimize import AccuracyLimits, Effort, Goal, Setting, Tuning
    from gdws_contract.rest import DeviceInfo

_GOAL = "The goal: exactly one"
_LIMITS = "What may be lost, in percentage points"
_RUN = "How the network is to run"
_MAKING = "How networks are made"
_EFFORT = "How much is spent on it"


@dataclass(frozen=True)
class GoalOptions:
    """One goal, and the accuracy that may be lost for it."""

    max_latency_ms: Annotated[
        float | None, typer.Option("--max-latency-ms", help="One inference takes at most this.", rich_help_panel=_GOAL)
    ] = None
    min_fps: Annotated[
        float | None, typer.Option("--min-fps", help="Images per second, at least.", rich_help_panel=_GOAL)
    ] = None
    min_speedup: Annotated[
        float | None, typer.Option("--min-speedup", help="Times as fast as dense, at least.", rich_help_panel=_GOAL)
    ] = None
    max_energy_mj: Annotated[
        float | None,
        typer.Option(
            "--max-energy-mj",
            help="Energy of one inference, at most. Needs a board that measures power.",
            rich_help_panel=_GOAL,
        ),
    ] = None
    fastest: Annotated[
        bool, typer.Option("--fastest", help="As fast as the accuracy limits allow.", rich_help_panel=_GOAL)
    ] = False
    pareto: Annotated[
        int | None,
        typer.Option(
            "--pareto", metavar="N", min=1, max=32, help="N networks from dense to fastest.", rich_help_panel=_GOAL
        ),
    ] = None
    max_natural_drop: Annotated[
        float,
        typer.Option(
            "--max-natural-drop",
            metavar="POINTS",
            help="Percentage points of natural accuracy.",
            rich_help_panel=_LIMITS,
        ),
    ] = 1.0
    max_robust_drop: Annotated[
        float,
        typer.Option("--max-robust-drop", metavar="POINTS", help="Points of robust accuracy.", rich_help_panel=_LIMITS),
    ] = 1.0

    def goal(self) -> Goal:
        """The goal. Raises :class:`GdwsError` unless exactly one is given."""
        from gdws.pipeline.optimize import Goal

        values = {
            "max_latency_ms": self.max_latency_ms,
            "min_fps": self.min_fps,
            "min_speedup": self.min_speedup,
            "max_energy_mj": self.max_energy_mj,
            "fastest": 1.0 if self.fastest else None,
            "pareto": self.pareto,
        }
        chosen = given(**values)
        if len(chosen) != 1:
            names = [f"--{name.replace('_', '-')}" for name in chosen or values]
            what = "no goal is given" if not chosen else f"{' and '.join(names)} contradict each other"
            raise GdwsError(what, hint="give exactly one, e.g. --fastest or --max-latency-ms 33")
        [(kind, value)] = chosen.items()
        return Goal(kind, None if kind == "fastest" else value)  # type: ignore[arg-type]

    def limits(self) -> AccuracyLimits:
        """The accuracy limits. Raises :class:`GdwsError`."""
        from gdws.pipeline.optimize import AccuracyLimits

        return AccuracyLimits(self.max_natural_drop, self.max_robust_drop)


@dataclass(frozen=True)
class SettingOptions:
    """Runtime, precision, batch and power mode, and how exactly networks are timed."""

    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", metavar="NAME", help="Runtime. Default: the best of the device.", rich_help_panel=_RUN
        ),
    ] = None
    precision: Annotated[str, typer.Option("--precision", metavar="NAME", help="E.g. fp16.", rich_help_panel=_RUN)] = (
        "fp32"
    )
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Batch size.", rich_help_panel=_RUN)] = 1
    threads: Annotated[
        str | None,
        typer.Option(
            "--threads",
            metavar="N|auto",
            help="CPU threads, or as many as suit the network best. Default: one for each physical core.",
            rich_help_panel=_RUN,
        ),
    ] = None
    power_mode: Annotated[
        str | None,
        typer.Option(
            "--power-mode",
            metavar="NAME|NUMBER",
            help="Measure in this mode of nvpmodel; the former is restored. Default: as it is.",
            rich_help_panel=_RUN,
        ),
    ] = None
    jetson_clocks: JetsonClocks = None
    min_duration: Annotated[
        float | None,
        typer.Option(
            "--min-duration", metavar="SECONDS", help="Measured time of a network. Default: 3.", rich_help_panel=_EFFORT
        ),
    ] = None
    corrections: Annotated[
        int,
        typer.Option(
            "--corrections",
            metavar="N",
            min=1,
            help="Rounds of choosing, measuring and correcting the model, at most.",
            rich_help_panel=_EFFORT,
        ),
    ] = 4
    judgements: Annotated[
        int,
        typer.Option(
            "--judgements",
            metavar="N",
            min=1,
            help="Networks that are fitted and evaluated on the way, at most.",
            rich_help_panel=_EFFORT,
        ),
    ] = 6

    def setting(self, device: DeviceInfo, url: str) -> Setting:
        """How networks run on ``device``. Raises :class:`~gdws.errors.DeviceError` if it cannot."""
        from gdws.pipeline.optimize import Setting, choose_backend

        mode = self.power_mode
        return Setting(
            backend=choose_backend(device, self.backend, self.precision, url),
            precision=self.precision,
            batch_size=self.batch,
            threads=self._threads(),
            power_mode=int(mode) if mode is not None and mode.isascii() and mode.isdigit() else mode,
            jetson_clocks=self.jetson_clocks,
            protocol=tuple(given(min_duration_ms=milliseconds(self.min_duration)).items()),
        )

    def _threads(self) -> int | Literal["auto"] | None:
        if self.threads is None:
            return None
        if self.threads == "auto":
            return "auto"
        if not (self.threads.isascii() and self.threads.isdigit() and int(self.threads) > 0):
            raise GdwsError(f"--threads {self.threads!r} is no number of threads", hint="e.g. --threads 2, or auto")
        return int(self.threads)

    def effort(self, seed: int) -> Effort:
        """How much is spent."""
        from gdws.pipeline.optimize import Effort

        return Effort(rounds=self.corrections, judgements=self.judgements, seed=seed)


@dataclass(frozen=True)
class MakingOptions:
    """What is done to networks beside their conversion."""

    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Run the best networks and the dense one in INT8, too: the fastest within the limits is delivered.",
            rich_help_panel=_MAKING,
        ),
    ] = False
    distill: Annotated[
        int,
        typer.Option(
            "--distill",
            metavar="STEPS",
            min=0,
            help="Bring each network that is judged nearer to the dense one by so many gradient steps without labels.",
            rich_help_panel=_MAKING,
        ),
    ] = 0
    finetune: Annotated[
        int,
        typer.Option(
            "--finetune",
            metavar="EPOCHS",
            min=0,
            help="Fine-tune each network that is judged for so many epochs, so that bolder plans keep the limits.",
            rich_help_panel=_MAKING,
        ),
    ] = 0

    def tuning(self, attack: Spec | None, *, seed: int) -> Tuning | None:
        """How networks that are to resist ``attack`` are tuned; None for not at all.

        Raises :class:`~gdws.errors.GdwsError` for an attack that fine-tuning does not train against.
        """
        from gdws.evaluation.attacks.protocols import one_step
        from gdws.pipeline.optimize import Tuning, finetuning_against
        from gdws.training import DistillSettings

        if not self.distill and not self.finetune:
            return None
        return Tuning(
            distill=DistillSettings(steps=self.distill, attack=None if attack is None else one_step(attack), seed=seed)
            if self.distill
            else None,
            finetune=finetuning_against(attack, self.finetune, seed=seed) if self.finetune else None,
        )

    def quantisation(self, backend: str) -> Int8Settings | None:
        """How networks are quantised for ``backend``; None for not at all."""
        from gdws.onnx_io.int8 import Int8Settings

        if not self.int8:
            return None
        return Int8Settings(scheme="asymmetric" if backend.startswith("onnxruntime") else "symmetric")


KnownCosts = Annotated[
    Path | None,
    typer.Option(
        "--known-costs",
        metavar="DIR",
        help="Where costs of layers are kept for the next network on the same device. Default: your data folder.",
        rich_help_panel=_EFFORT,
    ),
]
