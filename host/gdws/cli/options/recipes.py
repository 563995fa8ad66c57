"""Options for the GDWS networks to make, and for the weighting of errors."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gdws.errors import GdwsError
from gdws.planning.budget import KINDS
from gdws.planning.recipe import Recipe

if TYPE_CHECKING:
    from gdws.pipeline import AlphaSettings
    from gdws_contract.plan import Plan


class LayoutName(str, Enum):
    """Layout of a GDWS layer; see ``gdws.compression.layers``."""

    gather = "gather"
    stacked = "stacked"
    grouped = "grouped"


class MethodName(str, Enum):
    """How the factors of GDWS layers are found; see ``gdws_contract.plan``."""

    weights = "weights"
    data_aware = "data-aware"


Methods = Annotated[
    list[MethodName] | None,
    typer.Option(
        "--method",
        help="How to compute factors: from weights alone, as published (the default), or data-aware, fitted to the "
        "activations on training images, which keeps far more accuracy at small ranks. Repeatable.",
    ),
]


def _budget_options() -> Any:
    """A group with an option for each kind of budget."""
    options = [
        (
            name,
            Annotated[
                list[kind.number] | None,  # type: ignore[name-defined]
                typer.Option(metavar=kind.metavar, help=f"A network with {kind.summary}. Repeatable."),
            ],
            field(default=None),
        )
        for name, kind in KINDS.items()
    ]
    return make_dataclass("BudgetOptions", options, frozen=True)


PlanFiles = Annotated[
    list[Path] | None,
    typer.Option("--plan", metavar="FILE", help="A network by a stored plan, named after the file. Repeatable."),
]


@dataclass(frozen=True)
class PlanOptions(_budget_options()):  # type: ignore[misc]
    """One GDWS network for each budget in each layout."""

    layout: Annotated[
        list[LayoutName] | None,
        typer.Option(
            "--layout",
            help="Layout of layers: gather (any ranks), stacked or grouped (equal ranks). Repeatable. Default: gather.",
        ),
    ] = None
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip", metavar="PATTERN", help="Keep layers with this name or shell pattern dense. Repeatable."
        ),
    ] = None
    convert_first: Annotated[bool, typer.Option("--convert-first", help="Convert the first convolution too.")] = False

    def recipes(self, *, weighted: bool, methods: list[MethodName] | None = None) -> list[Recipe]:
        """One recipe for each combination of budget, layout and method (by default the one from weights alone)."""
        budgets = [kind(value) for name, kind in KINDS.items() for value in getattr(self, name) or []]
        return [
            Recipe(budget, layout.value, method.value, weighted=weighted, skip=tuple(self.skip or ()))
            for method in methods or [MethodName.weights]
            for layout in self.layout or [LayoutName.gather]
            for budget in budgets
        ]


AlphasFrom = Annotated[
    str,
    typer.Option(
        "--alphas",
        metavar="N|FILE",
        help="Weight errors by alphas (Equation 8): from N training images, or from a file of the paper's authors; "
        "0: equal weights.",
    ),
]


@dataclass(frozen=True)
class AlphaOptions:
    """How errors are weighted."""

    alphas: AlphasFrom = "64"
    alphas_by: Annotated[
        Literal["exact", "random-signs"] | None,
        typer.Option(
            "--alphas-by",
            help="exact: K - 1 backward passes for K classes. random-signs: an unbiased estimate by one pass, for "
            "many images or classes (ImageNet). Default: exact for up to 100 classes.",
        ),
    ] = None

    def settings(self, *, seed: int = 0) -> AlphaSettings:
        """The source of alphas. Raises :class:`~gdws.errors.GdwsError` for neither a number of images nor a file."""
        from gdws.pipeline import AlphaSettings

        if self.alphas.isascii() and self.alphas.isdigit():
            return AlphaSettings(int(self.alphas), method=self.alphas_by, seed=seed)
        if Path(self.alphas).is_file():
            return AlphaSettings(0, Path(self.alphas), seed=seed)
        raise GdwsError(f"--alphas {self.alphas!r} is neither a number of images nor a file", hint="e.g. --alphas 64")


@dataclass(frozen=True)
class NoAlphaOptions(AlphaOptions):
    """The same, with alphas computed only on request."""

    alphas: AlphasFrom = "0"


def read_plans(paths: list[Path] | None) -> dict[str, Plan]:
    """Plans by the stem of their files. Raises OSError, or PlanFormatError naming the field."""
    from gdws_contract.plan import Plan

    plans: dict[str, Plan] = {}
    for path in paths or []:
        if path.stem in plans:
            raise GdwsError(f"two plans have the name {path.stem!r}", hint="rename one of the files")
        plans[path.stem] = Plan.from_json(path.read_bytes())
    return plans
