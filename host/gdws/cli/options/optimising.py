"""Options for the goal, accuracy limits, runtime settings and search effort of an optimisation."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from gdws.cli.options.agents import given, milliseconds
from gdws.cli.options.groups import panel
from gdws.cli.options.measuring import BackendOptions, JetsonClocks, power_mode
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec
    from gdws.evaluation.tasks import Task
    from gdws.onnx_io.int8 import Int8Settings
    from gdws.pipeline.optimize import AccuracyLimits, BoardState, Effort, Goal, MemoryLimit, Setting, Tuning
    from gdws_contract.rest import DeviceInfo, PowerMode

_goal = panel("Goal (exactly one)")
_limits = panel("Accuracy limits (percentage points)")
_memory = panel("Memory limit (MiB)")
_run = panel("Runtime settings")
_making = panel("Tuning and precision")
_effort = panel("Search effort")


#: Options of goals that are not called as their option.
_OPTIONS = {"least_energy": "--minimise energy", "least_period_energy": "--minimise period-energy"}


class Minimised(str, enum.Enum):
    """What ``--minimise`` takes."""

    ENERGY = "energy"
    PERIOD = "period-energy"


@dataclass(frozen=True)
class GoalOptions:
    """One goal, and limits on the loss of accuracy and on memory."""

    max_latency_ms: Annotated[float | None, _goal("--max-latency-ms", help="Maximum time of one inference.")] = None
    min_fps: Annotated[float | None, _goal("--min-fps", help="Minimum number of images per second.")] = None
    min_speedup: Annotated[float | None, _goal("--min-speedup", help="Minimum speed-up over the dense network.")] = None
    max_energy_mj: Annotated[
        float | None,
        _goal("--max-energy-mj", help="Maximum energy of one inference. Needs a board that measures power."),
    ] = None
    deadline_ms: Annotated[
        float | None,
        _goal(
            "--deadline-ms",
            metavar="MS",
            help="With --minimise: the deadline, which 99 % of inferences must meet.",
        ),
    ] = None
    minimise: Annotated[
        Minimised | None,
        _goal(
            "--minimise",
            help="Find the network and power mode of the least energy within --deadline-ms: of one inference (energy), "
            "or of one inference and the idle rest until the deadline (period-energy).",
        ),
    ] = None
    fastest: Annotated[bool, _goal("--fastest", help="As fast as the accuracy limits allow.")] = False
    pareto: Annotated[
        int | None,
        _goal("--pareto", metavar="N", min=1, max=32, help="N networks on the Pareto front from dense to fastest."),
    ] = None
    max_natural_drop: Annotated[
        float | None,
        _limits("--max-natural-drop", metavar="POINTS", help="Maximum loss of natural accuracy. Default: 1."),
    ] = None
    max_robust_drop: Annotated[
        float | None,
        _limits("--max-robust-drop", metavar="POINTS", help="Maximum loss of robust accuracy. Default: 1."),
    ] = None
    max_disagreement: Annotated[
        float | None,
        _limits(
            "--max-disagreement",
            metavar="POINTS",
            help="If the network is not a classifier: maximum share of detections lost or pixels that differ, or "
            "maximum relative error of the outputs, in percent. Default: 10.",
        ),
    ] = None

    max_memory: Annotated[
        float | None,
        _memory("--max-memory-mib", help="Maximum peak memory of host and device. Needs a backend that measures it."),
    ] = None

    def goal(self) -> Goal:
        """The goal. Raises :class:`GdwsError` unless exactly one option is given."""
        from gdws.pipeline.optimize import Goal

        if (self.minimise is None) != (self.deadline_ms is None):
            raise GdwsError(
                "--deadline-ms and --minimise belong together",
                hint="e.g. --deadline-ms 33 --minimise energy; for the time alone --max-latency-ms 33",
            )
        if self.deadline_ms is not None and not 0 < self.deadline_ms < math.inf:
            raise GdwsError(f"--deadline-ms: expected a positive number, got {self.deadline_ms:g}")
        values = {
            "max_latency_ms": self.max_latency_ms,
            "min_fps": self.min_fps,
            "min_speedup": self.min_speedup,
            "max_energy_mj": self.max_energy_mj,
            "fastest": 1.0 if self.fastest else None,
            "pareto": self.pareto,
            "least_energy": self.deadline_ms if self.minimise is Minimised.ENERGY else None,
            "least_period_energy": self.deadline_ms if self.minimise is Minimised.PERIOD else None,
        }
        chosen = given(**values)
        if len(chosen) != 1:
            names = [_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in chosen or values]
            what = "no goal is given" if not chosen else f"{' and '.join(names)} exclude each other"
            raise GdwsError(what, hint="give exactly one, e.g. --fastest or --max-latency-ms 33")
        [(kind, value)] = chosen.items()
        return Goal(kind, None if kind == "fastest" else value)  # type: ignore[arg-type]

    def limits(self, task: Task) -> AccuracyLimits:
        """The limits for networks of ``task``. Raises :class:`GdwsError`, also for a limit of another task."""
        from gdws.pipeline.optimize import AccuracyLimits
        from gdws_contract.findings.agreement import AGREEMENT, LIMIT_POINTS

        kind = task.contract.kind
        of_accuracy = given(max_natural_drop=self.max_natural_drop, max_robust_drop=self.max_robust_drop)
        if kind in AGREEMENT:
            if of_accuracy:
                name = f"--{next(iter(of_accuracy)).replace('_', '-')}"
                raise GdwsError(
                    f"{name} is for classifiers, and this network is of the task {kind}",
                    hint=f"give --max-disagreement, by how much {AGREEMENT[kind]} may fall short of 100 %",
                )
            return AccuracyLimits(LIMIT_POINTS if self.max_disagreement is None else self.max_disagreement, None)
        if self.max_disagreement is not None:
            raise GdwsError(
                "--max-disagreement is for networks that are not classifiers",
                hint="give --max-natural-drop or --max-robust-drop",
            )
        return AccuracyLimits(
            **{name.removeprefix("max_").replace("drop", "points"): v for name, v in of_accuracy.items()}
        )

    def memory(self) -> MemoryLimit | None:
        """The memory limit; None for no limit. Raises :class:`GdwsError`."""
        from gdws.pipeline.optimize import MemoryLimit

        return None if self.max_memory is None else MemoryLimit(self.max_memory)


@dataclass(frozen=True)
class SettingOptions(BackendOptions):
    """Runtime, precision, batch size, threads and power mode, and the precision of the measurement."""

    threads: Annotated[
        str | None,
        _run(
            "--threads",
            metavar="N|auto",
            help="CPU threads; auto: the number that suits the network best. Default: one for each physical core.",
        ),
    ] = None
    power_mode: Annotated[
        str | None,
        _run(
            "--power-mode",
            metavar="NAME|NUMBER",
            help="Measure in this mode of nvpmodel; restored afterwards. Default: the current mode.",
        ),
    ] = None
    power_modes: Annotated[
        str | None,
        _run(
            "--power-modes",
            metavar="all|NAME,NUMBER,...",
            help="With --minimise: modes of nvpmodel to choose among; restored afterwards. Default: the current mode.",
        ),
    ] = None
    jetson_clocks: JetsonClocks = None
    vary_clocks: Annotated[
        bool, _run("--vary-clocks", help="With --minimise: measure each mode with clocks free and with clocks fixed.")
    ] = False
    min_duration: Annotated[
        float | None, _effort("--min-duration", metavar="SECONDS", help="Measured time of each network. Default: 3.")
    ] = None
    corrections: Annotated[
        int,
        _effort(
            "--corrections",
            metavar="N",
            min=1,
            help="Maximum number of rounds of choosing, measuring and correcting the model.",
        ),
    ] = 4
    judgements: Annotated[
        int,
        _effort(
            "--judgements", metavar="N", min=1, help="Maximum number of networks to fit and evaluate during the search."
        ),
    ] = 6
    search_iterations: Annotated[
        int,
        _effort(
            "--search-iterations",
            metavar="N",
            min=1,
            help="Maximum number of steps of the attack that networks are chosen under, on validation images. Final "
            "figures, on test images, are under the whole attack.",
        ),
    ] = 10

    def setting(self, device: DeviceInfo, url: str) -> Setting:
        """The setting on ``device``. Raises :class:`~gdws.errors.DeviceError` if it does not support it."""
        from gdws.pipeline.optimize import Setting, choose_backend

        return Setting(
            backend=choose_backend(device, self.backend, self.precision, url),
            precision=self.precision,
            batch_size=self.batch,
            threads=self._threads(),
            power_mode=self._power_mode(device, url),
            jetson_clocks=self.jetson_clocks,
            protocol=tuple(given(min_duration_ms=milliseconds(self.min_duration)).items()),
        )

    def states(self, device: DeviceInfo, url: str) -> tuple[BoardState, ...]:
        """The power modes and clocks to choose among on ``device``; none without the options.

        Raises :class:`~gdws.errors.GdwsError` for options that contradict each other, for modes that the device does
        not have, and where it does not tell those that are asked for by ``all``.
        """
        from gdws.pipeline.optimize import BoardState, all_power_modes

        if self.power_modes is None and not self.vary_clocks:
            return ()
        if self.power_modes is not None and self.power_mode is not None:
            raise GdwsError("--power-mode and --power-modes exclude each other", hint="give one of them")
        if self.vary_clocks and self.jetson_clocks is not None:
            raise GdwsError("--vary-clocks leaves nothing to --jetson-clocks", hint="give one of them")
        modes: list[PowerMode | None] = [self._power_mode(device, url)]
        if self.power_modes == "all":
            modes = [*all_power_modes(device, url)]
        elif self.power_modes is not None:
            modes = [_power_mode_of(device, name.strip(), url) for name in self.power_modes.split(",")]
        clocks = [False, True] if self.vary_clocks else [self.jetson_clocks]
        return tuple(BoardState(mode, fixed) for mode in dict.fromkeys(modes) for fixed in clocks)

    def _power_mode(self, device: DeviceInfo, url: str) -> PowerMode | None:
        return None if self.power_mode is None else _power_mode_of(device, self.power_mode, url)

    def _threads(self) -> int | Literal["auto"] | None:
        if self.threads is None:
            return None
        if self.threads == "auto":
            return "auto"
        if not (self.threads.isascii() and self.threads.isdigit() and int(self.threads) > 0):
            raise GdwsError(f"--threads {self.threads!r} is not a number of threads", hint="e.g. --threads 2, or auto")
        return int(self.threads)

    def effort(self, seed: int) -> Effort:
        """The effort of the search."""
        from gdws.pipeline.optimize import Effort

        return Effort(rounds=self.corrections, judgements=self.judgements, seed=seed)

    def choosing(self, attack: Spec | None) -> Spec | None:
        """The attack that networks are chosen under where the final figures are under ``attack``."""
        from gdws.evaluation.attacks.protocols import shortened

        return None if attack is None else shortened(attack, iterations=self.search_iterations)


def _power_mode_of(device: DeviceInfo, text: str, url: str) -> PowerMode:
    """The power mode that ``text`` means. Raises :class:`~gdws.errors.DeviceError` if the device has no such mode."""
    from gdws.pipeline.optimize import named_power_mode

    return named_power_mode(device, power_mode(text), url)


@dataclass(frozen=True)
class MakingOptions:
    """How networks are tuned, and in which precisions they run."""

    int8: Annotated[
        bool,
        _making("--int8", help="Also run the best networks and the dense one in INT8; the fastest within limits wins."),
    ] = False
    distill: Annotated[
        int,
        _making(
            "--distill",
            metavar="STEPS",
            min=0,
            help="Distil each evaluated network from the dense one by this many gradient steps, without labels; e.g. "
            "240.",
        ),
    ] = 0
    finetune: Annotated[
        int,
        _making(
            "--finetune",
            metavar="EPOCHS",
            min=0,
            help="Fine-tune each evaluated network for this many epochs, so that faster plans stay within the limits.",
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


StateFolder = Annotated[
    Path | None,
    _effort("--state", metavar="DIR", help="Folder of intermediate results, to resume from. Default: OUT.state."),
]

KnownCosts = Annotated[
    Path | None,
    _effort(
        "--known-costs",
        metavar="DIR",
        help="Folder of layer costs, reused for other networks on the same device. Default: in your data folder.",
    ),
]
