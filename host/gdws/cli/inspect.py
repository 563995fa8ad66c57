"""List the contents of a bundle, after checking its sizes, hashes and member paths.

\b
Examples:
  gdws inspect model.gdws
  gdws inspect model.gdws --plan mean-rank-3
  gdws inspect model.gdws --json | jq .manifest.variants
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options.common import Json
from gdws.cli.views.output import print_json, print_plain, print_table, results
from gdws.errors import GdwsError
from gdws_contract.archive import Bundle, open_bundle


def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle, as written by gdws convert.")],
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="VARIANT", help="Print the plan of this network, layer by layer.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the contents of a bundle, after checking its sizes, hashes and member paths."""
    with open_bundle(bundle) as opened:
        opened.verify()
        if plan is not None:
            _print_plan(opened, plan, as_json)
        elif as_json:
            print_json({"id": opened.id, "manifest": opened.manifest.model_dump(mode="json")})
        else:
            _print_description(opened)


def _print_description(bundle: Bundle) -> None:
    from gdws.bundles.description import describe

    description = describe(bundle)
    width = max(len(label) for label, _ in description.facts)
    for label, value in description.facts:
        results().print(f"{label:{width}}  {value}", markup=False)
    results().print()
    print_table(description.columns, description.rows, words=["role", "method"])


def _print_plan(bundle: Bundle, name: str, as_json: bool) -> None:
    from gdws_contract.plan import Plan

    variants = {variant.name: variant for variant in bundle.manifest.variants}
    if name not in variants:
        raise GdwsError(f"the bundle has no variant {name!r}", hint=f"it has: {', '.join(variants)}")
    member = variants[name].plan
    if member is None:
        raise GdwsError(f"{name!r} has no plan", hint="only converted networks have a plan")
    plan = Plan.from_json(bundle.read(member))
    if as_json:
        print_json(plan.to_dict())
    else:
        print_plain(str(plan))
