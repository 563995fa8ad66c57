"""The whole pipeline on the shipped network and images, as ``gdws demo`` runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from gdws import datasets, pipeline
from gdws._util.files import write_atomic
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import gentle
from gdws.networks.sources import Source
from gdws.pipeline.optimize import AccuracyLimits, Effort, Goal, Images, Optimisation, Setting, Task, Watch, optimize
from gdws.planning.budget import MeanRank
from gdws.planning.recipe import Recipe
from gdws.results import report
from gdws.results.report.optimisation import write
from gdws_contract.archive import open_bundle
from gdws_contract.plan import Plan
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Job, Protocol

DATA = "mnist-sample"
#: What ships, by data set: the network, and the attack that it was trained against, as the literature runs it.
NETWORKS: Mapping[str, tuple[str, AttackSpec]] = MappingProxyType(
    {
        DATA: ("mnist-preact-resnet", AttackSpec(eps=0.2, step=0.02, iterations=40)),
        "fashion-mnist": ("fashion-mnist-preact-resnet18", AttackSpec(eps=0.1, step=0.01, iterations=40)),
    }
)
#: Where networks lie that are too large for the package, in a checkout of the repository.
_CHECKOUT = Path(__file__).resolve().parents[3] / "benchmarks" / "networks"


@dataclass(frozen=True)
class DemoSettings:
    """What is compared, and how it is measured.

    ``published`` is a network by the paper's method for comparison, at ranks that keep the accuracy. Choices are made
    on ``validation`` images under this many steps of PGD; the final figures are for the full attack on ``test`` images.
    ``search_ms`` is the measured time of each network in the search. On so few test images a network that loses next to
    nothing may well be a point below the dense one, hence the wider limit on robust accuracy.
    """

    published: Recipe = field(default_factory=lambda: Recipe(MeanRank(4), layout="stacked"))
    calibration: int = 256
    validation: int = 128
    choosing_steps: int = 10
    test: int = 150
    verification: int = 32
    alphas: pipeline.AlphaSettings = field(default_factory=lambda: pipeline.AlphaSettings(32))
    batch_sizes: tuple[int, ...] = (1, 8)
    protocol: Protocol = field(default_factory=lambda: Protocol(min_duration_ms=2_000))
    search_ms: float = 700.0
    effort: Effort = field(default_factory=lambda: Effort(rounds=2, judgements=2))
    limits: AccuracyLimits = field(default_factory=lambda: AccuracyLimits(natural_points=1.0, robust_points=2.0))


FULL = DemoSettings()
QUICK = DemoSettings(
    calibration=64,
    validation=100,
    test=50,
    alphas=pipeline.AlphaSettings(8),
    batch_sizes=(1,),
    protocol=Protocol(rounds=5, min_duration_ms=1_000, min_iterations=50),
    search_ms=300.0,
    effort=Effort(rounds=1, judgements=2),
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
    search: Path
    state: Path

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
            search=folder / "optimisation.html",
            state=folder / "state",
        )


@dataclass(frozen=True, eq=False)
class Watcher:
    """Who is told how it goes: a line for each step, bars, and how a job of the last measurement stands."""

    tell: Callable[[str], None] = lambda line: None
    progress: Progress = SILENT
    on_job: Callable[[Job], None] | None = None


def shipped(data: str) -> tuple[str, AttackSpec]:
    """The checkpoint to load for a data set, and its attack. Raises :class:`~gdws.errors.GdwsError` without one."""
    if data not in NETWORKS:
        raise GdwsError(f"the demo has no network for {data!r}", hint=f"one of: {', '.join(NETWORKS)}")
    name, attack = NETWORKS[data]
    path = _CHECKOUT / f"{name}.safetensors"
    if path.exists():
        return str(path), attack
    if data != DATA:
        raise GdwsError(f"{name}.safetensors is not here: {path}", hint="run the demo in a checkout of the repository")
    return name, attack


def make(
    files: DemoFiles,
    settings: DemoSettings,
    device: DeviceClient,
    *,
    data: str = DATA,
    checkpoint: str | None = None,
    watcher: Watcher | None = None,
) -> Optimisation:
    """Convert as published, optimise for this machine, and pack both with the dense network.

    ``checkpoint`` takes the place of the network that ships. Raises what the steps raise.
    """
    watcher = watcher or Watcher()
    known, attack = shipped(data)
    source, images = pipeline.load(checkpoint or known), datasets.load(data)
    watcher.tell(f"1/4  convert {source.name} as published, {settings.published.name}")
    published = _published(source, settings, images, watcher)
    choosing = gentle(attack, iterations=settings.choosing_steps)
    watcher.tell(
        f"2/4  optimise it for this machine: at most {settings.limits.natural_points:g} point of natural and "
        f"{settings.limits.robust_points:g} of robust accuracy lost, choices on {settings.validation} images under "
        f"{choosing}, without a second opinion; then all on {settings.test} test images under {attack}, white-box"
    )
    task = Task(
        source,
        Images(
            images,
            calibration=settings.calibration,
            validation=settings.validation,
            test=settings.test,
            verification=settings.verification,
        ),
        attack,
        Setting("onnxruntime", protocol=(("min_duration_ms", settings.search_ms),)),
        Goal("fastest"),
        settings.limits,
        files.bundle,
        files.state,
        effort=settings.effort,
        choosing=choosing,
        beside=(published,),
    )
    found = optimize(task, device, watch=Watch(watcher.tell, watcher.progress))
    write(found, files.search)
    with open_bundle(files.bundle) as bundle:
        for variant in bundle.manifest.variants:
            if variant.plan is not None:
                plan = Plan.from_json(bundle.read(variant.plan))
                write_atomic(files.plans / f"{variant.name}.json", plan.to_json().encode())
                write_atomic(files.plans / f"{variant.name}.txt", f"{plan}\n".encode())
    return found


def measure(
    files: DemoFiles, settings: DemoSettings, device: DeviceClient, *, watcher: Watcher | None = None
) -> BenchmarkResult:
    """Measure the bundle side by side, and report. Raises what the steps raise."""
    watcher = watcher or Watcher()
    watcher.tell("3/4  measure them side by side on an agent on this machine")
    with open_bundle(files.bundle) as bundle:
        bundle_id = bundle.id
    request = BenchmarkRequest(
        model_id=bundle_id, batch_sizes=list(settings.batch_sizes), protocol=settings.protocol, label="gdws demo"
    )
    result = pipeline.benchmark(device, files.bundle, request, out=files.result, on_progress=watcher.on_job)
    watcher.tell("4/4  report")
    for path in (files.html, files.markdown, files.json):
        report.write([result], path)
    return result


@contextmanager
def agent(files: DemoFiles) -> Iterator[DeviceClient]:
    """An agent on this machine that keeps what it measures with the rest of the demo."""
    with local_agent(files.state / "agent") as url, DeviceClient(url) as device:
        yield device


def _published(source: Source, settings: DemoSettings, images: datasets.Dataset, watcher: Watcher) -> Variant:
    alphas = pipeline.find_alphas(source, settings.alphas, images.train.first, progress=watcher.progress)
    [_, found] = pipeline.convert_all(source, [settings.published], weights=alphas, progress=watcher.progress)
    return found
