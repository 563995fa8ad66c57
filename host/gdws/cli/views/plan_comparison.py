"""Several plans of one network side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gdws.cli.views.output import print_table
from gdws_contract.costs import size_mib

if TYPE_CHECKING:
    from gdws_contract.plan import Plan

_COLUMNS = ("plan", "layers", "G", "MACs", "of dense", "parameters", "of dense", "MiB", "sum e²", "largest e²")
_UNKNOWN = "?"


def print_comparison(plans: Mapping[str, Plan]) -> None:
    """Print one row for the dense network and one for each plan, by name."""
    first = next(iter(plans.values()))
    print_table(_COLUMNS, [_dense_row(first), *(_row(name, plan) for name, plan in plans.items())])


def comparison(plans: Mapping[str, Plan]) -> list[dict[str, Any]]:
    """The same figures as JSON values, unrounded; MACs are None where unknown."""
    return [
        {
            "name": name,
            "constraint": plan.constraint,
            "value": plan.budget,
            "converted": plan.totals.converted,
            "components": _components(plan),
            "macs_dense": plan.totals.macs_dense,
            "macs_gdws": plan.totals.macs_gdws,
            "parameters_dense": plan.totals.parameters_dense,
            "parameters_gdws": plan.totals.parameters_gdws,
            "e2": plan.totals.e2,
            "largest_e2": _largest(plan),
        }
        for name, plan in plans.items()
    ]


def _row(name: str, plan: Plan) -> Sequence[str]:
    totals = plan.totals
    return (
        name,
        f"{totals.converted} of {totals.layers}",
        f"{_components(plan):,}",
        _count(totals.macs_gdws),
        _share(totals.macs_gdws, totals.macs_dense),
        _count(totals.parameters_gdws),
        _share(totals.parameters_gdws, totals.parameters_dense),
        f"{size_mib(totals.parameters_gdws):.2f}",
        f"{totals.e2:.3g}",
        f"{_largest(plan):.3g}",
    )


def _dense_row(plan: Plan) -> Sequence[str]:
    totals = plan.totals
    size = f"{size_mib(totals.parameters_dense):.2f}"
    return ("dense", "", "", _count(totals.macs_dense), "", _count(totals.parameters_dense), "", size, "0", "0")


def _components(plan: Plan) -> int:
    return sum(layer.components or 0 for layer in plan.converted if layer.shares is None)


def _largest(plan: Plan) -> float:
    return max((layer.e2 or 0.0 for layer in plan.converted), default=0.0)


def _count(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _share(part: int | None, whole: int | None) -> str:
    return _UNKNOWN if part is None or not whole else f"{part / whole:.1%}"
