"""An optimisation from a network to a bundle, or to the reason why it stays dense."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdws._util.files import write_atomic
from gdws._util.progress import SILENT, Progress
from gdws.bundles.packing import host_evaluation
from gdws.bundles.variant import BASELINE, Variant
from gdws.compression.fitting import Calibration, identify
from gdws.datasets import Dataset, Split
from gdws.device.client import DeviceClient
from gdws.errors import GdwsError
from gdws.evaluation.attacks import Spec
from gdws.evaluation.tally import digest_of_network
from gdws.networks.sources import Source
from gdws.pipeline.calibration import calibration_images
from gdws.pipeline.optimize import account
from gdws.pipeline.optimize.judge import EvaluationJudge
from gdws.pipeline.optimize.known_costs import KnownCosts
from gdws.pipeline.optimize.meter import AgentMeter
from gdws.pipeline.optimize.setting import Setting, fingerprint
from gdws.pipeline.optimize.state import State
from gdws.pipeline.optimize.threads import ThreadChoice, choose_threads
from gdws.pipeline.packing import pack
from gdws.planning.search.explorer import Tell
from gdws.planning.search.goals import AccuracyLimits, Goal
from gdws.planning.search.options import Offer, offer
from gdws.planning.search.search import Answer, Effort, Search
from gdws.planning.search.space import Choice
from gdws.results.optimisation import Optimisation, save_optimisation
from gdws_contract.rest import DeviceInfo, Job

#: Images that engines replay before a network is timed; parity needs no more.
_REPLAYED = 4


@dataclass(frozen=True, eq=False)
class Images:
    """The images of ``data``: what factors are fitted to, what choices are made on, and what tells the final figures.

    ``verification`` test images go into the bundle.
    """

    data: Dataset
    calibration: int = 1024
    validation: int = 1000
    test: int = 1000
    verification: int = 128


@dataclass(frozen=True)
class Conversion:
    """Which layers may be converted, see :func:`gdws.compression.surgery.inspect`."""

    skip: tuple[str, ...] = ()
    convert_first: bool = False


@dataclass(frozen=True, eq=False)
class Watch:
    """Who is told how it goes: a line for each step, bars, and jobs of the device."""

    tell: Tell = lambda line: None
    progress: Progress = SILENT
    on_job: Callable[[Job], None] | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be optimised, for what, and where results are kept.

    ``attack`` is what robust accuracy is measured under; None for natural accuracy alone. ``state`` is a folder that
    lets a search that was interrupted go on. ``known_costs`` is the folder of costs of layers that were measured for
    earlier networks; None neither reads nor keeps any.
    """

    source: Source
    images: Images
    attack: Spec | None
    setting: Setting
    goal: Goal
    limits: AccuracyLimits
    out: Path
    state: Path
    known_costs: Path | None = None
    conversion: Conversion = field(default_factory=Conversion)
    effort: Effort = field(default_factory=Effort)


def optimize(
    task: Task, device: DeviceClient, *, lease_id: str | None = None, watch: Watch | None = None
) -> Optimisation:
    """Find the network that meets the goal of ``task`` on ``device``, and write the bundle with it and the dense one.

    Where none does the bundle holds the dense network alone, and the answer says why. Run again after an interruption
    it goes on; run again after its end, or for another goal, it measures only what it has not measured.

    Raises what its steps raise: :class:`~gdws.errors.GdwsError` for bad input, among them
    :class:`~gdws.errors.DeviceError` where the device cannot serve, and OSError.
    """
    watch = watch or Watch()
    started = time.monotonic()
    source, state = task.source, State(task.state)
    if source.plan is not None:
        raise GdwsError(f"{source.name} is already converted", hint="give the original network")
    if task.limits.robust_points is not None and task.attack is None:
        task = replace(task, limits=replace(task.limits, robust_points=None))
    if task.goal.kind == "fastest" and task.limits == AccuracyLimits(None, None):
        raise GdwsError("the fastest network without accuracy limits is of no use", hint="give --max-natural-drop")
    info = device.device()
    offered = _offer(task, state, watch)
    watch.tell(f"{len(offered.space.layers)} layers to choose for, {task.setting.words()} on {info.hostname}")
    replayed = task.images.data.test.first(_REPLAYED)

    def meter_for(setting: Setting) -> AgentMeter:
        named = fingerprint(info, setting)
        return AgentMeter(device, named, source, offered, setting, replayed, state, lease_id, watch.on_job)

    rival_ms = None
    if task.setting.threads == "auto":
        found_threads = _threads(task, info, offered, meter_for, watch)
        task = replace(task, setting=replace(task.setting, threads=found_threads.threads))
        rival_ms = found_threads.dense_ms
    meter = meter_for(task.setting)
    data = task.images.data
    judge = EvaluationJudge(
        source,
        offered,
        data.validation.first(task.images.validation),
        data.test.first(task.images.test),
        task.attack,
        state,
        watch.progress,
    )
    costs = KnownCosts(task.known_costs, meter.fingerprint, "mj" if task.goal.is_of_energy else "ms")
    search = Search(
        offered.space,
        meter,
        judge,
        task.goal,
        task.limits,
        batch_size=task.setting.batch_size,
        known=costs.load(),
        rival_ms=rival_ms,
        effort=task.effort,
        tell=watch.tell,
    )
    answer = search.run()
    if offered.space.layers:
        costs.add(search.explorer.learned(), info, task.setting.words())
    found = _told(task, info, offered, search, meter, answer, time.monotonic() - started)
    found = found.model_copy(update={"bundle_id": _deliver(task, judge, answer, found, watch)})
    save_optimisation(found, task.state / "optimisation.json")
    return found


def _threads(
    task: Task, info: DeviceInfo, offered: Offer, meter_for: Callable[[Setting], AgentMeter], watch: Watch
) -> ThreadChoice:
    """The number of threads for ``--threads auto``; raises :class:`~gdws.errors.GdwsError` where energy is the goal."""
    if task.goal.is_of_energy:
        raise GdwsError("threads are chosen by time, and the goal is energy", hint="give --threads N")

    def meter_of(count: int) -> AgentMeter:
        return meter_for(replace(task.setting, threads=count))

    found = choose_threads(offered.space, info, meter_of, seed=task.effort.seed)
    watch.tell(
        f"{found.threads} threads suit converted networks best; dense takes {found.dense_ms:.4g} ms at its best, on "
        f"{found.dense_threads}"
    )
    return found


def _offer(task: Task, state: State, watch: Watch) -> Offer:
    """The options of every layer, their errors from the state where they are known."""
    source, network = task.source, digest_of_network(task.source.module)
    images = task.images.data.train.first(task.images.calibration)
    attack = None if task.attack is None else task.attack.to_dict()
    path = state.path("calibration", [network, identify(images.images).sha256, attack], ".npy")
    calibration = Calibration(source.module, _fitted_to(path, source, images, task.attack, watch))

    def recall(name: str, key: Any, make: Callable[[], Any]) -> Any:
        return state.recall(name, [network, calibration.identity.sha256, key], make)

    return offer(
        calibration,
        source.input_shape,
        skip=task.conversion.skip,
        convert_first=task.conversion.convert_first,
        recall=recall,
        progress=watch.progress,
    )


def _fitted_to(path: Path, source: Source, images: Split, attack: Spec | None, watch: Watch) -> Tensor:
    """Calibration images (N, C, H, W), under the attack if there is one, from the file at ``path`` if it is there."""
    if path.exists():
        return torch.from_numpy(np.load(path, allow_pickle=False))
    found = calibration_images(source, images, attack, progress=watch.progress)
    buffer = io.BytesIO()
    np.save(buffer, found.contiguous().numpy(), allow_pickle=False)
    write_atomic(path, buffer.getvalue())
    return found


def _told(
    task: Task, info: DeviceInfo, offered: Offer, search: Search, meter: AgentMeter, answer: Answer, host_s: float
) -> Optimisation:
    """The answer as it is stored."""
    explorer = search.explorer
    best: Choice = answer.choices[0] if answer.choices else offered.space.dense
    has_figures = bool(explorer.timings)
    profiles = account.by_choice(meter.profile([offered.space.dense, best])) if has_figures else {}
    median, p90 = account.residuals(explorer) if has_figures else (None, None)
    loss = answer.final.get(best)
    return Optimisation(
        network=task.source.name,
        goal=str(task.goal),
        natural_limit_points=task.limits.natural_points,
        robust_limit_points=task.limits.robust_points,
        device=f"{info.board or info.cpu_model or info.machine} ({info.hostname})",
        setting=task.setting.words(),
        status=answer.status,
        reason=answer.reason,
        unit="mJ" if task.goal.is_of_energy else "ms",
        dense=explorer.dense if has_figures else None,
        bound=task.goal.bound(explorer.dense, task.setting.batch_size) if has_figures else None,
        layers=tuple(account.layer_verdicts(offered, explorer if has_figures else None, best, loss, profiles)),
        networks=tuple(account.networks(explorer, answer)) if has_figures else (),
        residual_median=median,
        residual_p90=p90,
        has_pair_terms=has_figures and explorer.model.has_pair_terms,
        is_profiled=explorer.is_profiled,
        doubts=tuple(explorer.doubts),
        host_s=host_s,
    )


def _deliver(task: Task, judge: EvaluationJudge, answer: Answer, found: Optimisation, watch: Watch) -> str:
    """Write the bundle of the dense network and those that are delivered; returns its id."""
    names = {
        choice: f"optimised-{place}" if place > 1 else "optimised"
        for place, choice in enumerate(answer.choices, start=1)
    }
    variants: list[Variant] = []
    data = f"{task.images.data.name}, test"
    for choice in (judge.offer.space.dense, *answer.choices):
        variant = judge.variant(choice, names.get(choice, BASELINE))
        evaluation = judge.evaluate(variant, choice, final=True)
        variants.append(replace(variant, evaluation=host_evaluation(evaluation, data)))
    told = {"goal": found.goal, "device": found.device, "setting": found.setting, "threads": task.setting.threads}
    source = replace(task.source, provenance={**task.source.provenance, "optimised_for": told})
    test = task.images.data.test.first(task.images.verification)
    return pack(task.out, source, variants, test, data, task.attack, progress=watch.progress)
