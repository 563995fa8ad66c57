"""What an attack on a device asks of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gdws.cli.options.agents import given

_ATTACK = "The attack"


@dataclass(frozen=True)
class SquareOptions:
    """Square Attack; the contract has a default for what is not given."""

    queries: Annotated[
        int | None,
        typer.Option(
            "--queries",
            metavar="N",
            help="Perturbed inputs tried for each image, at most. Default: 1000.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            metavar="N",
            help="Use only the first N images of the bundle. Default: all.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    norm: Annotated[
        str | None,
        typer.Option(
            "--norm",
            metavar="linf|l2",
            help="Default: that of the bundle's adversarial inputs.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    eps: Annotated[
        float | None,
        typer.Option(
            "--eps",
            help="Radius for pixels from 0 to 1. Default: that of the bundle's adversarial inputs.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Of the draws of each image, with its index. Default: 0.", rich_help_panel=_ATTACK),
    ] = None

    def fields(self) -> dict[str, Any]:
        """The fields of :class:`gdws_contract.attacks.AttackOptions` that were given."""
        return given(queries=self.queries, images=self.images, norm=self.norm, eps=self.eps, seed=self.seed)
