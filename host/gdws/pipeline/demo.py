"""The whole pipeline on the shipped network and images, as ``gdws demo`` runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from gdws import datasets, pipeline
from gdws._util.files import write_atomic
from gdws._util.progress import SILENT, Progress
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.evaluation.attacks import AttackSpec
from gdws.pipeline import AlphaSettings, BundleSettings
from gdws.planning.budget import MeanRank
from gdws.planning.recipe import Recipe
from gdws.results import report
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Job, Protocol

NETWORK = "mnist-preact-resnet"
DATA = "mnist-sample"
ATTACK = AttackSpec(eps=0.2, step=0.02, iterations=40, random_start=True)


@dataclass(frozen=True)
class DemoSettings:
    """Settings of the demo."""

    bundle: BundleSettings
    batch_sizes: tuple[int, ...] = (1, 8)
    protocol: Protocol = field(default_factory=Protocol)


#: Data-aware at the ranks where a compiled runtime gains, beside the paper's method at the same ranks and at those that
#: keep the accuracy. On the CPU the layout without a gather is faster at the same MACs.
RECIPES = (
    *(Recipe(MeanRank(rank), layout="stacked", method="data-aware") for rank in (1, 2, 3)),
    *(Recipe(MeanRank(rank), layout="stacked") for rank in (2, 4)),
)
FULL = DemoSettings(BundleSettings(recipes=RECIPES, attack=ATTACK, test=300, verification=64))
QUICK = DemoSettings(
    BundleSettings(
        recipes=RECIPES[1:4:2],
        attack=ATTACK,
        alphas=AlphaSettings(16),
        calibration=128,
        test=50,
        verification=32,
    ),
    protocol=Protocol(rounds=5, min_duration_ms=1_000, min_iterations=50),
)


@dataclass(frozen=True)
class DemoFiles:
    """The output files of the demo."""

    bundle: Path
    plans: Path
    result: Path
    html: Path
    markdown: Path
    json: Path

    @classmethod
    def within(cls, folder: Path) -> DemoFiles:
        """The files in ``folder``."""
        return cls(
            bundle=folder / "model.gdws",
            plans=folder / "plans",
            result=folder / "result.json",
            html=folder / "report.html",
            markdown=folder / "report.md",
            json=folder / "report.json",
        )


def make(
    files: DemoFiles,
    settings: DemoSettings,
    *,
    checkpoint: str = NETWORK,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda line: None,
) -> str:
    """Convert, evaluate and pack; return the bundle's id. ``tell`` is given a line for each step.

    Raises what the steps raise.
    """
    step = count(1)
    source, data = pipeline.load(checkpoint), datasets.load(DATA)
    made = pipeline.make_bundle(
        files.bundle,
        source,
        data,
        settings.bundle,
        progress=progress,
        tell=lambda line: tell(f"{next(step)}/5  {line}"),
    )
    for variant in made.variants:
        if variant.plan is not None:
            write_atomic(files.plans / f"{variant.name}.json", variant.plan.to_json().encode())
            write_atomic(files.plans / f"{variant.name}.txt", f"{variant.plan}\n".encode())
    return made.id


def measure(
    files: DemoFiles,
    settings: DemoSettings,
    bundle_id: str,
    *,
    tell: Callable[[str], None] = lambda line: None,
    on_job: Callable[[Job], None] | None = None,
) -> BenchmarkResult:
    """Measure the bundle on an agent on this machine, and report. Raises what the steps raise."""
    tell("4/5  measure them side by side on an agent on this machine")
    request = BenchmarkRequest(
        model_id=bundle_id, batch_sizes=list(settings.batch_sizes), protocol=settings.protocol, label="gdws demo"
    )
    with local_agent() as url, DeviceClient(url) as device:
        result = pipeline.benchmark(device, files.bundle, request, out=files.result, on_progress=on_job)

    tell("5/5  report")
    for path in (files.html, files.markdown, files.json):
        report.write([result], path)
    return result
