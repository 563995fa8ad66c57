"""Options that several commands take, and what they stand for."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.attacks import AttackSpec


class LayoutName(str, Enum):
    """How a GDWS layer runs; see ``gdws.layers``."""

    gather = "gather"
    stacked = "stacked"
    grouped = "grouped"


class MethodName(str, Enum):
    """How the factors of GDWS layers are found; see ``gdws.algorithms.plan``."""

    weights = "weights"
    data_aware = "data-aware"


Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A file of weights (safetensors or a torch state dict), or the name of a network whose weights "
        "ship with the package, e.g. mnist-preact-resnet.",
    ),
]
Net = Annotated[
    str | None,
    typer.Option("--net", metavar="NAME", help="The network, where the file does not name it: see gdws nets."),
]
Data = Annotated[str, typer.Option("--data", metavar="NAME", help="Data set for images.")]
MeanRanks = Annotated[
    list[float] | None,
    typer.Option("--mean-rank", metavar="G/C", help="A network with this mean rank in each layer. Repeatable."),
]
Betas = Annotated[
    list[float] | None,
    typer.Option("--beta", metavar="E2", help="A network with at most this error e^2 in each layer. Repeatable."),
]
Gammas = Annotated[
    list[int] | None,
    typer.Option("--gamma", metavar="G", help="A network with at most this sum of ranks in each layer. Repeatable."),
]
Layouts = Annotated[
    list[LayoutName] | None,
    typer.Option(
        "--layout",
        help="How layers run: gather (any ranks), stacked or grouped (equal ranks). Repeatable. Default: gather.",
    ),
]
Methods = Annotated[
    list[MethodName] | None,
    typer.Option(
        "--method",
        help="How factors are found: from weights alone, as published (the default), or data-aware, fitted to what "
        "the network computes on training images, which keeps far more accuracy at small ranks. Repeatable.",
    ),
]
Calibration = Annotated[
    int,
    typer.Option(
        "--calibration",
        metavar="N",
        min=1,
        help="Training images that data-aware networks are fitted to; under the attack, if there is one.",
    ),
]
Alphas = Annotated[
    int,
    typer.Option(
        "--alphas",
        metavar="N",
        min=0,
        help="Weigh errors by alphas (Equation 8) from N training images; 0: all channels weigh the same.",
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="PATTERN", help="Leave layers of this name or shell pattern alone. Repeatable."),
]
ConvertFirst = Annotated[bool, typer.Option("--convert-first", help="Convert the first convolution too.")]
Attack = Annotated[str, typer.Option("--attack", metavar="pgd|none", help="Attack for robust accuracy.")]
Eps = Annotated[float, typer.Option("--eps", help="Radius of the l_inf ball, in pixel units of [0, 1].")]
Step = Annotated[float, typer.Option("--step", help="Step size of the attack, in pixel units.")]
Iterations = Annotated[int, typer.Option("--iterations", help="Steps of the attack.")]
Restarts = Annotated[int, typer.Option("--restarts", help="Runs of the attack on each image.")]
RandomStart = Annotated[bool, typer.Option(help="Start at a random point of the ball, or at the image.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random draw.")]

_MEASURING = "How long and how exactly is measured"
_JETSON = "Power modes, energy and heat (Jetson)"
_ENGINE = "How engines are built and run (TensorRT)"

Device = Annotated[str, typer.Option("--device", metavar="local|URL", help="An agent's address, or this machine.")]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A file that gdws convert wrote.")]
Label = Annotated[str | None, typer.Option("--label", help="A line of text to keep with the result.")]
Patience = Annotated[
    float, typer.Option("--patience", metavar="SECONDS", help="How long an agent may be away before we give up.")
]
Rounds = Annotated[
    int | None,
    typer.Option(
        "--rounds", help="Windows of each cell; the networks take turns. Default: 10.", rich_help_panel=_MEASURING
    ),
]
MinDuration = Annotated[
    float | None,
    typer.Option(
        "--min-duration",
        metavar="SECONDS",
        help="Measured time of a cell. Energy needs 10 or more. Default: 3.",
        rich_help_panel=_MEASURING,
    ),
]
MinIterations = Annotated[
    int | None,
    typer.Option("--min-iterations", help="Measured inferences of a cell. Default: 100.", rich_help_panel=_MEASURING),
]
Warmup = Annotated[
    float | None,
    typer.Option(
        "--warmup",
        metavar="SECONDS",
        help="Warm-up, then until steady. Default: 0.2.",
        rich_help_panel=_MEASURING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", help="CPU threads. Default: one for each physical core.", rich_help_panel=_MEASURING),
]
Tolerance = Annotated[
    float | None,
    typer.Option("--tolerance", help="Largest logit difference, relative. Default: 1e-3.", rich_help_panel=_MEASURING),
]
OrderSeed = Annotated[
    int | None,
    typer.Option("--seed", help="Orders the networks in the rounds. Default: 0.", rich_help_panel=_MEASURING),
]
PowerModes = Annotated[
    list[str] | None,
    typer.Option(
        "--power-mode",
        metavar="NAME|NUMBER",
        help="Measure in this mode of nvpmodel; the former is restored. Repeatable. Default: as it is.",
        rich_help_panel=_JETSON,
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
Idle = Annotated[
    float | None,
    typer.Option(
        "--idle",
        metavar="SECONDS",
        help="Rest before measuring, for the power at idle, above which energy is told as net. Default: none.",
        rich_help_panel=_JETSON,
    ),
]
Sustained = Annotated[
    float | None,
    typer.Option(
        "--sustained",
        metavar="SECONDS",
        help="Then run each network this long without a pause: the FPS that heat allows. Default: not.",
        rich_help_panel=_JETSON,
    ),
]
Builds = Annotated[
    int | None,
    typer.Option(
        "--builds",
        metavar="K",
        help="Build K engines, keep that of median latency, tell the spread. Default: 1.",
        rich_help_panel=_ENGINE,
    ),
]
BuildTimeout = Annotated[
    float | None,
    typer.Option(
        "--build-timeout",
        metavar="SECONDS",
        help="Give up one build after this. Default: 1800.",
        rich_help_panel=_ENGINE,
    ),
]
OptimizationLevel = Annotated[
    int | None,
    typer.Option(
        "--optimization-level",
        metavar="0-5",
        help="How hard the builder looks for fast kernels (8.6 and newer). Default: TensorRT's, 3.",
        rich_help_panel=_ENGINE,
    ),
]
Workspace = Annotated[
    int | None,
    typer.Option(
        "--workspace",
        metavar="MIB",
        help="Scratch memory of a build. Default: the backend's.",
        rich_help_panel=_ENGINE,
    ),
]
DynamicBatch = Annotated[
    bool,
    typer.Option(
        "--dynamic-batch",
        help="One engine for all batch sizes, in place of one for each.",
        rich_help_panel=_ENGINE,
    ),
]
CudaGraph = Annotated[
    bool,
    typer.Option(
        "--cuda-graph",
        help="Capture an inference once and replay it: less work for the CPU at each.",
        rich_help_panel=_ENGINE,
    ),
]
DlaCore = Annotated[
    int | None,
    typer.Option(
        "--dla-core",
        metavar="N",
        help="Run on this deep learning accelerator (fp16, int8). Default: the GPU.",
        rich_help_panel=_ENGINE,
    ),
]
GpuFallback = Annotated[
    bool,
    typer.Option(
        "--gpu-fallback/--no-gpu-fallback",
        help="Whether layers that the accelerator cannot run may go to the GPU.",
        rich_help_panel=_ENGINE,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def attack_spec(
    attack: str, eps: float, step: float, iterations: int, restarts: int, random_start: bool, seed: int
) -> AttackSpec | None:
    """The attack that the options ask for, or None. Raises :class:`GdwsError` for a value that cannot be."""
    from gdws.attacks import AttackSpec

    if attack == "none":
        return None
    return AttackSpec(
        name=attack,
        eps=eps,
        step=step,
        iterations=iterations,
        restarts=restarts,
        random_start=random_start,
        seed=seed,
    )


def numbers(text: str, option: str) -> list[int]:
    """``1,8`` as [1, 8]. Raises :class:`GdwsError`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise GdwsError(f"{option} {text!r} is no list of whole numbers", hint=f"e.g. {option} 1,8") from None


def power_modes(names: list[str] | None) -> list[str | int] | None:
    """Modes of nvpmodel as the contract has them: a number is a mode's number, all else its name."""
    if not names:
        return None
    return [int(name) if name.isascii() and name.isdigit() else name for name in names]


def words(text: str | None) -> list[str] | None:
    """``a,b`` as [a, b]; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",")]
