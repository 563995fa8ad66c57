"""Find a network that meets a goal on a device within accuracy limits, choosing for each layer by measured times.

The options of all layers are timed inside whole networks. The best plan by these times is measured, the model of
the times corrected, and the accuracy evaluated, until goal and limits are met; the bundle has this network and the
dense one. With --minimise the power mode is chosen, too, among --power-modes; the board gets its own back. Run the same
command again to resume after an interruption. Exit code 1: no network meets the goal; the bundle has only the dense
one.

\b
Examples:
  gdws optimize mnist-preact-resnet --fastest --threads 2 --out best.gdws --report best.html
  gdws optimize mnist-preact-resnet --fastest --threads auto --int8 --distill 240 --out best.gdws
  gdws optimize net.safetensors --data cifar10 --max-latency-ms 33 --device http://jetson.local:8000 \\
    --backend tensorrt --precision fp16 --out best.gdws
  gdws optimize net.safetensors --data cifar10 --deadline-ms 33 --minimise energy --power-modes all \\
    --device http://jetson.local:8000 --backend tensorrt --precision fp16 --out best.gdws
  gdws optimize net.safetensors --data cifar10 --pareto 5 --max-robust-drop 2 --out front.gdws
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gdws.cli.options import common as options
from gdws.cli.options.agents import AgentOptions
from gdws.cli.options.attack import AttackOptions
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import NetworkOptions
from gdws.cli.options.optimising import GoalOptions, KnownCosts, MakingOptions, SettingOptions, StateFolder
from gdws.cli.options.sharing import LeaseId
from gdws.cli.views.optimisation import print_optimisation
from gdws.cli.views.output import errors, print_json, progress_bar


def optimize(
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write, e.g. best.gdws.")],
    network: NetworkOptions,
    goal: GoalOptions,
    running: SettingOptions,
    making: MakingOptions,
    agent: AgentOptions,
    images: ImageOptions,
    attack: AttackOptions,
    calibration: options.Calibration = 1024,
    test_images: Annotated[
        int, typer.Option("--images", metavar="N", min=1, help="Number of test images for the final figures.")
    ] = 1000,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="PATTERN", help="Layers to keep dense. Repeatable.")
    ] = None,
    state: StateFolder = None,
    known_costs: KnownCosts = None,
    lease: LeaseId = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write a report as .html, .md or .json.")
    ] = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Find a network that meets a goal on a device within accuracy limits, by measured times."""
    from gdws.pipeline import optimize as pipeline
    from gdws.results.report.optimisation import write

    wanted, memory, source = goal.goal(), goal.memory(), network.open()
    limits, spec = goal.limits(source.task), attack.spec(images.data, source.task)
    folder = state or out.with_name(f"{out.name}.state")
    chosen = pipeline.Images(images.open(source), calibration=calibration, test=test_images)
    with agent.client(lease=lease, data_dir=folder / "agent") as device, progress_bar(quiet) as progress:
        info = device.device()
        setting = running.setting(info, device.url)
        task = pipeline.Task(
            source,
            chosen,
            spec,
            setting,
            wanted,
            limits,
            out,
            folder,
            known_costs=known_costs or pipeline.default_folder(),
            conversion=pipeline.Conversion(tuple(skip or ())),
            effort=running.effort(attack.seed),
            choosing=running.choosing(spec),
            tuning=making.tuning(spec, seed=attack.seed),
            int8=making.quantisation(setting.backend),
            states=running.states(info, device.url),
            memory=memory,
        )
        found = pipeline.optimize(task, device, lease_id=lease, watch=pipeline.Watch(_tell_of(quiet), progress))
    if report is not None:
        write(found, report)
    print_json(found.model_dump(mode="json")) if as_json else print_optimisation(found, out)
    if found.status == "declined":
        raise typer.Exit(1)


def _tell_of(quiet: bool) -> Callable[[str], None]:
    """What says how it goes."""
    return (lambda line: None) if quiet else lambda line: errors().print(line, markup=False)
