"""Natural and robust accuracy of a network, or the metrics of its task, each with its 95 % interval.

A network that is not a classifier is compared with the dense one: give --plan, --annotations or both. With
--annotations detectors have mAP, which needs pip install 'gdws[detection]', and segmentation networks mean IoU.

The attack on a classifier is white-box on the network that is evaluated, GDWS or dense. Images that an attack has
fooled are left out of its further runs and of later attacks.

Images that resist are attacked again with another loss, and a sample of them by a black-box attack; an image that
any of these fools is not robust. A warning is printed if gradients vanish, or if the attack cannot be trusted for
another reason.

With --out, finished images are recorded in a file next to it, and the same command resumes after an interruption.
Under torchrun several processes share the images, with the same result.

\b
Which attack?
  pgd         reported by most papers, including ours: compare with their tables
  apgd        stronger at the same number of steps, with no step size to choose
  autoattack  adds attacks that do not need gradients; hours on a whole test set
  union       three norms at once, for networks trained against all of them

\b
Examples:
  gdws evaluate mnist-preact-resnet
  gdws evaluate net.safetensors --plan plan.json --iterations 100 --restarts 10
  gdws evaluate net.safetensors --data cifar10 --attack apgd --images 10000 --out apgd.json
  gdws evaluate MSD_V0.pt --data cifar10 --attack union --protocol msd --out union.json
  torchrun --nproc-per-node 4 -m gdws evaluate net.safetensors --device cuda --attack autoattack
  gdws evaluate net.safetensors --attack none --json
  gdws evaluate --onnx model.onnx --data cifar10
  gdws evaluate --onnx detector.onnx --data images --annotations instances.json --plan plan.json
  gdws evaluate --onnx embedding.onnx --data images --plan plan.json --metric my_metrics:same_person
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options import common as options
from gdws.cli.options.attack import AttackOptions
from gdws.cli.options.images import ImageOptions
from gdws.cli.options.network import NetworkOptions
from gdws.cli.options.recipes import read_plans
from gdws.cli.options.training import ComputeDevice, processes
from gdws.cli.views.output import errors, print_json, print_line

if TYPE_CHECKING:
    from gdws.evaluation.evaluate import Evaluation
    from gdws_contract.manifest import HostEvaluation


def evaluate(
    network: NetworkOptions,
    images: ImageOptions,
    attack: AttackOptions,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Evaluate the GDWS network of this plan instead.")
    ] = None,
    calibration: options.Calibration = 1024,
    test_images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="The first N test images.")] = 1000,
    device: ComputeDevice = "cpu",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Store the result as JSON; allows resuming."),
    ] = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Natural and robust accuracy of a network, or the metrics of its task, each with its 95 % interval."""
    from gdws import pipeline
    from gdws._util.files import require_writable, write_atomic

    plans = read_plans([plan] if plan else None)
    state = None
    if out is not None:
        require_writable(out)
        state = out.with_name(f"{out.name}.state")
    advice = "finished images are kept; repeat the command to resume"
    with processes(device, quiet, state, advice) as (workers, progress):
        source = network.open()
        spec = attack.spec(images.data, source.task)
        dataset = images.open(source)
        data, test = f"{dataset.name}, test", dataset.test.first(test_images)
        if not plans:
            pipeline.require_comparable(source, test)
        fitted_to = dataset.train.first(calibration)
        variants = pipeline.convert_fitted(source, [], fitted_to, spec, plans=plans, progress=progress)
        for each in variants:
            each.module.to(workers.device)
        found: Evaluation | HostEvaluation
        if pipeline.is_classifier(source):
            found = pipeline.evaluate_one(variants[-1], test, spec, state=state, workers=workers, progress=progress)
        else:
            found = pipeline.evaluate_by_task(variants, test, data, source.task, progress=progress)
    if not workers.leads:
        return
    of_what = {"network": source.name, "checkpoint": network.checkpoint, "variant": variants[-1].name, "data": data}
    result = {**of_what, **_as_json(found)}
    if out is not None and state is not None:
        write_atomic(out, json.dumps(result, indent=1).encode())
        state.unlink(missing_ok=True)
        errors().print(f"wrote {out}", markup=False)
    if as_json:
        print_json(result)
    else:
        _print_found(variants[-1].name, data, found)


def _as_json(found: Evaluation | HostEvaluation) -> dict[str, Any]:
    from gdws_contract.manifest import HostEvaluation

    return found.model_dump(include={"origin", "metrics"}) if isinstance(found, HostEvaluation) else found.to_dict()


def _print_found(name: str, data: str, found: Evaluation | HostEvaluation) -> None:
    from gdws_contract.findings.metrics import metrics_of
    from gdws_contract.manifest import HostEvaluation

    if not isinstance(found, HostEvaluation):
        _print_result(name, data, found)
        return
    typer.echo(f"{name} on {data}; 95 % intervals")
    for each in metrics_of(found, None):
        print_line(f"{each.words:26} {each.shown}" + ("" if each.interval is None else f" ({each.interval})"))


def _print_result(name: str, data: str, found: Evaluation) -> None:
    from gdws_contract.findings import text

    what = "accuracy" if found.origin == "labelled" else "agreement"
    if what == "agreement":
        typer.echo("the images have no labels: agreement is with the predictions of the dense network")
    natural = f"{text.percent(found.natural.value)} ({text.percent_interval(found.natural)})"
    typer.echo(f"{name} on {found.natural.count} images of {data}; 95 % intervals")
    typer.echo(f"natural {what:9} {natural}")
    if found.robust is not None and found.attack is not None:
        typer.echo(f"robust {what:9}  {text.percent(found.robust.value)} ({text.percent_interval(found.robust)})")
        typer.echo(f"attack            {found.attack}, white-box, seed {found.attack.seed}")
    for doubt in found.doubts():
        typer.echo(f"- {doubt}")
