"""Single options that several commands share, and parsing of comma-separated lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.errors import GdwsError

Seed = Annotated[int, typer.Option("--seed", help="Seed for all random numbers.")]
RemoteDevice = Annotated[
    str, typer.Option("--device", metavar="URL", envvar="GDWS_DEVICE", show_envvar=True, help="The agent's address.")
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="GDWS_TOKEN",
        show_envvar=True,
        show_default=False,
        help="The agent's access token. Other users of this machine can see options: prefer the variable.",
    ),
]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle, as written by gdws convert.")]
Label = Annotated[str | None, typer.Option("--label", help="A line of text to store with the result.")]
Reconnect = Annotated[
    float,
    typer.Option(
        "--reconnect",
        "--patience",
        metavar="SECONDS",
        help="How long to keep trying to reconnect to the agent.",
    ),
]
Calibration = Annotated[
    int,
    typer.Option(
        "--calibration",
        metavar="N",
        min=1,
        help="Number of training images for data-aware fitting; attacked, if there is an attack.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def numbers(text: str, option: str) -> list[int]:
    """``1,8`` as [1, 8]. Raises :class:`GdwsError`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise GdwsError(f"{option} {text!r} is not a list of whole numbers", hint=f"e.g. {option} 1,8") from None


def words(text: str | None) -> list[str] | None:
    """``a,b`` as [a, b]; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",")]
