"""Attack the engines of a bundle on a device, where they run, and tell how robust each is at most.

Square Attack asks the engine that was built there for its outputs, so that the rounding of fp16 and INT8 counts, and
no gradient that a network hides. Images, labels, norm and radius are the bundle's. What it does not fool another attack
may: robust accuracies are upper bounds. Every image that is done is kept: after an interruption of the agent the job
resumes there. A result does not depend on the batch size, but for an engine's own rounding at each; larger is faster.

\b
Examples:
  gdws attack model.gdws
  gdws attack model.gdws --variants dense,dense-int8 --batch 8 --queries 5000 --images 200
  gdws attack model.gdws --device http://jetson.local:8000 --backends tensorrt --precision fp32,fp16,int8 \\
    --batch 8 --out attack.json
  gdws report attack.json --out attack.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.agents import AgentOptions, end_as, given, make_request, model_id
from gdws.cli.options.attacking import SquareOptions
from gdws.cli.options.engine import EngineOptions
from gdws.cli.options.measuring import CellOptions, Threads, Tolerance
from gdws.cli.options.sharing import SharingOptions
from gdws.cli.views.attack_table import print_attacks
from gdws.cli.views.live import LiveBenchmark
from gdws.cli.views.output import errors, print_json


def attack(
    bundle: options.Bundle,
    agent: AgentOptions,
    sharing: SharingOptions,
    square: SquareOptions,
    building: EngineOptions,
    cells: CellOptions,
    label: options.Label = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the result goes; kept up to date meanwhile.")] = Path(
        "attack.json"
    ),
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    threads: Threads = None,
    tolerance: Tolerance = None,
) -> None:
    """Attack the engines of a bundle on a device."""
    from gdws.results.report import summarise
    from gdws_contract.attacks import AttackRequest

    request = make_request(
        AttackRequest,
        "attack",
        model_id=model_id(bundle),
        **cells.fields(),
        options=square.fields(),
        engine=building.engine(),
        threads=threads,
        label=label,
        **sharing.fields(),
        **given(parity_tolerance=tolerance),
    )
    result = agent.measure(bundle, request, sharing, LiveBenchmark(quiet=quiet), out)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_attacks(summarise(result))
        errors().print(f"wrote {out}", markup=False)
    end_as(result, agent.device)
