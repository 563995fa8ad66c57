"""Options that several commands take, and what they stand for."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec


class LayoutName(str, Enum):
    """How a GDWS layer runs; see ``gdws.compression.layers``."""

    gather = "gather"
    stacked = "stacked"
    grouped = "grouped"


class MethodName(str, Enum):
    """How the factors of GDWS layers are found; see ``gdws.algorithms.plan``."""

    weights = "weights"
    data_aware = "data-aware"


class AlphaMethodName(str, Enum):
    """How alphas are found; see ``gdws.compression.calibration.alphas``."""

    exact = "exact"
    random_signs = "random-signs"


Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME",
        help="Data set for images: mnist-sample, mnist, fashion-mnist, cifar10, svhn or imagenet; random: noise, "
        "labelled by the network itself, where no images are at hand.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        envvar="GDWS_DATA_ROOT",
        help="The folder where the data sets lie; nothing is downloaded.",
    ),
]
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
MacSavings = Annotated[
    list[float] | None,
    typer.Option(
        "--mac-saving",
        metavar="TIMES",
        help="A network of this many times fewer MACs: they are spent on the layers where they take away most error, "
        "and a layer may stay dense. Repeatable.",
    ),
]
Budgets = Annotated[
    list[float] | None,
    typer.Option(
        "--budget",
        metavar="E2",
        help="A network with at most this error, e^2 summed over all layers: the fewest components in the whole "
        "network that meet it. With alphas the sum bounds the share of changed decisions. Repeatable.",
    ),
]
EqualRanks = Annotated[
    list[int] | None,
    typer.Option(
        "--equal-rank",
        metavar="G",
        min=0,
        help="A network with this rank in every channel of every layer (Network Decoupling), a baseline. Repeatable.",
    ),
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
    str,
    typer.Option(
        "--alphas",
        metavar="N|FILE",
        help="Weigh errors by alphas (Equation 8): from N training images, or from a file as the paper's authors store "
        "them; 0: all channels weigh the same.",
    ),
]
AlphasBy = Annotated[
    AlphaMethodName | None,
    typer.Option(
        "--alphas-by",
        help="exact: a backward pass for each class but one. random-signs: an unbiased estimate by one pass, for many "
        "images or many classes (ImageNet). Default: exact for up to 100 classes.",
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="PATTERN", help="Leave layers of this name or shell pattern alone. Repeatable."),
]
ConvertFirst = Annotated[bool, typer.Option("--convert-first", help="Convert the first convolution too.")]
_ATTACK = "The attack"

Attack = Annotated[
    str,
    typer.Option(
        "--attack",
        metavar="NAME",
        help="none, or: pgd, pgd-l2, pgd-l1 (steps of fixed size); apgd, apgd-l2 (adaptive steps, stronger); "
        "autoattack, autoattack-l2 (four attacks, the usual yardstick); union (an image must resist all norms).",
        rich_help_panel=_ATTACK,
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="Radii, steps and restarts as in the literature: mnist, fashion-mnist, cifar10, imagenet or msd. The "
        "options below change single settings. Default: what goes with the data set.",
        rich_help_panel=_ATTACK,
    ),
]
Eps = Annotated[
    float | None,
    typer.Option(
        "--eps",
        help="Radius of the ball, in pixel units of [0, 1]; 0 leaves the images as they are.",
        rich_help_panel=_ATTACK,
    ),
]
Step = Annotated[
    float | None, typer.Option("--step", help="Step size of pgd, in pixel units.", rich_help_panel=_ATTACK)
]
Iterations = Annotated[
    int | None, typer.Option("--iterations", help="Steps of each run of the attack.", rich_help_panel=_ATTACK)
]
Restarts = Annotated[
    int | None,
    typer.Option(
        "--restarts", help="Runs on each image, the first included, until one fools it.", rich_help_panel=_ATTACK
    ),
]
RandomStart = Annotated[
    bool | None,
    typer.Option(
        "--random-start/--no-random-start",
        help="Start the first run at a random point of the ball, or at the image.",
        rich_help_panel=_ATTACK,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random draw.")]

_MEASURING = "How long and how exactly is measured"
_JETSON = "Power modes, energy and heat (Jetson)"
_SHARING = "On a device that others use, too"
_ENGINE = "How engines are built and run (TensorRT)"

Device = Annotated[str, typer.Option("--device", metavar="local|URL", help="An agent's address, or this machine.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="GDWS_TOKEN",
        show_envvar=True,
        show_default=False,
        help="What the agent asks for; others on this machine can read an option, so better set the variable.",
    ),
]
RemoteDevice = Annotated[
    str, typer.Option("--device", metavar="URL", envvar="GDWS_DEVICE", show_envvar=True, help="An agent's address.")
]
LeaseId = Annotated[
    str | None,
    typer.Option(
        "--lease",
        metavar="ID",
        envvar="GDWS_LEASE",
        show_envvar=True,
        show_default=False,
        help="The lease to use, as gdws lease take printed it.",
        rich_help_panel=_SHARING,
    ),
]
Priority = Annotated[
    int,
    typer.Option(
        "--priority",
        min=-10,
        max=10,
        help="Jobs of a higher one are measured first.",
        rich_help_panel=_SHARING,
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        help="Give up what is not measured after this time. Default: the agent's limit.",
        rich_help_panel=_SHARING,
    ),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        metavar="MIB",
        help="Give up a network whose measurement takes more memory. Default: the agent's limit.",
        rich_help_panel=_SHARING,
    ),
]
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
BatchProfile = Annotated[
    str | None,
    typer.Option(
        "--batch-profile",
        metavar="each|all|measured",
        help="An engine for each batch size, one for all, or the faster of both at each batch size.",
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
    name: str,
    protocol: str | None,
    data: str,
    *,
    eps: float | None,
    step: float | None,
    iterations: int | None,
    restarts: int | None,
    random_start: bool | None,
    seed: int,
) -> Spec | None:
    """The attack that the options ask for, or None. Raises :class:`GdwsError` for a value that cannot be."""
    from gdws.evaluation.attacks import protocols

    if name == "none":
        return None
    spec = protocols.attack(
        name,
        protocol or protocols.for_data(data),
        eps=eps,
        step=step,
        iterations=iterations,
        restarts=restarts,
        random_start=random_start,
        seed=seed,
    )
    if name.startswith("autoattack"):  # say at once what is missing, not after the natural accuracy
        from gdws.evaluation.attacks.autoattack import require_installed

        require_installed()
    return spec


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
