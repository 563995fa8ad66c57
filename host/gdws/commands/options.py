"""Options that several commands take, and what they stand for."""

from __future__ import annotations

from enum import Enum
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


def words(text: str | None) -> list[str] | None:
    """``a,b`` as [a, b]; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",")]
