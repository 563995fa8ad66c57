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
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline.calibration import calibration_images
from gdws.pipeline.optimize import account
from gdws.pipeline.optimize.forms import Form, Outcome, as_planned
from gdws.pipeline.optimize.judge import EvaluationJudge, Making
from gdws.pipeline.optimize.known_costs import KnownCosts
from gdws.pipeline.optimize.least_energy import find_least_energy, settings_of
from gdws.pipeline.optimize.meter import AgentMeter
from gdws.pipeline.optimize.precisions import with_precisions
from gdws.pipeline.optimize.setting import BoardState, Setting, fingerprint, require_energy
from gdws.pipeline.optimize.state import State
from gdws.pipeline.optimize.threads import ThreadChoice, choose_threads
from gdws.pipeline.optimize.time_left import TimeLeft
from gdws.pipeline.optimize.tuning import Tuning, require_tunable
from gdws.pipeline.packing import pack, with_preparation
from gdws.planning.search.explorer import Explorer, Tell
from gdws.planning.search.goals import AccuracyLimits, Effort, Goal
from gdws.planning.search.memory import MemoryLimit
from gdws.planning.search.options import Offer, offer
from gdws.planning.search.search import Search
from gdws.results.optimisation import LeastEnergy, Optimisation, save_optimisation
from gdws.results.report.optimisation import sentences
from gdws_contract.findings.agreement import AGREEMENT
from gdws_contract.findings.text import plural
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
    earlier networks; None neither reads nor keeps any. With ``tuning`` networks are tuned before they are judged, with
    ``int8`` the dense network and the best plans run in INT8 beside floating point. ``choosing`` is a lighter attack to
    make choices under, without a second opinion; None for ``attack``, which the final figures are under. ``beside``
    are other networks that go into the bundle with their final figures, such as those of another method. ``memory`` is
    the most that what is delivered may take at its peak; None for no limit. ``states`` are the power modes and clocks
    to look for the least energy in; none for those of ``setting``.
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
    tuning: Tuning | None = None
    int8: Int8Settings | None = None
    choosing: Spec | None = None
    beside: tuple[Variant, ...] = ()
    memory: MemoryLimit | None = None
    states: tuple[BoardState, ...] = ()


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
    if task.limits.robust_points is not None and task.attack is None:
        task = replace(task, limits=replace(task.limits, robust_points=None))
    if task.tuning is not None:
        task = replace(task, effort=replace(task.effort, bold=True))
    _require_sense(task)
    info = device.device()
    if task.goal.is_of_energy:
        require_energy(info)
    offered = _offer(task, state, watch)
    if offered.unfitted:
        watch.tell(account.unfitted_words(offered, task.images.calibration))
    time_left = TimeLeft()
    settings = settings_of(task.setting, task.states)
    time_left.plan(offered.space, task.effort, int8=task.int8 is not None, states=len(settings))
    watch = replace(watch, tell=_with_time(watch.tell, time_left))
    watch.tell(f"{plural(len(offered.space.layers), 'layer')} to choose for, {task.setting.words()} on {info.hostname}")
    replayed = task.images.data.test.first(_REPLAYED)

    of_energy = task.goal.is_of_energy

    def meter_for(setting: Setting) -> AgentMeter:
        named = fingerprint(info, setting)
        return AgentMeter(
            device, named, source, offered, setting, replayed, state, lease_id, watch.on_job, time_left, of_energy
        )

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
        data,
        data.validation.first(task.images.validation),
        data.test.first(task.images.test),
        task.attack,
        task.choosing or task.attack,
        Making(task.images.calibration, task.tuning, task.int8),
        state,
        watch.progress,
        time_left,
    )
    figures = None
    if task.goal.has_deadline:
        least = find_least_energy(
            offered.space,
            settings,
            info,
            meter_for,
            judge,
            task.goal,
            task.limits,
            memory=task.memory,
            known_costs=task.known_costs,
            effort=task.effort,
            tell=watch.tell,
        )
        explorer, meter, outcome, figures = least.explorer, least.meter, least.outcome, least.figures
        task = replace(task, setting=least.setting)
    else:
        explorer, outcome = _searched(task, info, offered, meter, judge, rival_ms, watch)
    found = _told(task, info, offered, explorer, meter, outcome, figures, time.monotonic() - started)
    found = found.model_copy(update={"bundle_id": _deliver(task, judge, outcome, found, watch)})
    save_optimisation(found, task.state / "optimisation.json")
    return found


def _searched(
    task: Task,
    info: DeviceInfo,
    offered: Offer,
    meter: AgentMeter,
    judge: EvaluationJudge,
    rival_ms: float | None,
    watch: Watch,
) -> tuple[Explorer, Outcome]:
    """What a search in one setting of the device came to, and all that it measured."""
    costs = KnownCosts(task.known_costs, meter.fingerprint, "mj" if task.goal.is_of_energy else "ms")
    batch_size = task.setting.batch_size
    search = Search(
        offered.space,
        meter,
        judge,
        task.goal,
        task.limits,
        batch_size=batch_size,
        known=costs.at_start(judge.state),
        rival_ms=rival_ms,
        memory=task.memory,
        effort=task.effort,
        tell=watch.tell,
    )
    answer = search.run()
    if offered.space.layers:
        costs.add(search.explorer.learned(), info, task.setting.words())
    if task.int8 is None:
        return search.explorer, as_planned(answer)
    outcome = with_precisions(search, answer, meter, judge, task.goal, task.limits, batch_size, watch.tell)
    return search.explorer, outcome


def _require_sense(task: Task) -> None:
    """Raise :class:`~gdws.errors.GdwsError` for what contradicts itself."""
    if task.source.plan is not None:
        raise GdwsError(f"{task.source.name} is already converted", hint="give the original network")
    if task.goal.kind == "fastest" and task.limits == AccuracyLimits(None, None):
        raise GdwsError("without accuracy limits the fastest network is useless", hint="give --max-natural-drop")
    if task.goal.kind == "pareto" and task.int8 is not None:
        raise GdwsError("a front of networks is made in one precision", hint="leave --int8 out, or ask for --fastest")
    if task.goal.has_deadline and task.int8 is not None:
        raise GdwsError("the least energy is looked for in one precision", hint="leave --int8 out")
    if task.states and not task.goal.has_deadline:
        raise GdwsError(
            f"{task.goal} is looked for in one power mode", hint="give --power-mode, or ask for --minimise energy"
        )
    if task.tuning is not None:
        require_tunable(task.source)


def _with_time(tell: Tell, time_left: TimeLeft) -> Tell:
    """``tell`` with the time left behind every line, where it is known."""

    def told(line: str) -> None:
        left = time_left.words()
        tell(line if left is None else f"{line} ({left})")

    return told


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
    fitted_to = _fitted_to(path, source, images, task.attack, watch)
    calibration = Calibration(source.module, fitted_to, source.task.projection(source.module, fitted_to))

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
    task: Task,
    info: DeviceInfo,
    offered: Offer,
    explorer: Explorer,
    meter: AgentMeter,
    outcome: Outcome,
    figures: LeastEnergy | None,
    host_s: float,
) -> Optimisation:
    """The outcome as it is stored."""
    best = outcome.delivered[0].choice if outcome.delivered else offered.space.dense
    has_figures = explorer.is_open
    profiles = account.by_choice(meter.profile([offered.space.dense, best])) if has_figures else {}
    median, p90 = account.residuals(explorer) if has_figures else (None, None)
    loss = outcome.final.get(outcome.delivered[0]) if outcome.delivered else None
    notes = account.notes(outcome, info, choosing=task.choosing, attack=task.attack)
    found = Optimisation(
        network=task.source.name,
        goal=str(task.goal),
        natural_limit_points=task.limits.natural_points,
        robust_limit_points=task.limits.robust_points,
        agreement=AGREEMENT.get(task.source.task.contract.kind),
        memory_limit_mib=None if task.memory is None else task.memory.mebibytes,
        device=f"{info.board or info.cpu_model or info.machine} ({info.hostname})",
        setting=task.setting.words(),
        status=outcome.status,
        reason=outcome.reason,
        unit="mJ" if task.goal.is_of_energy else "ms",
        dense=explorer.dense if has_figures else None,
        bound=task.goal.bound(explorer.dense, task.setting.batch_size) if has_figures else None,
        layers=account.layer_verdicts(offered, explorer if has_figures else None, best, loss, profiles),
        networks=account.networks(explorer, outcome) if has_figures else [],
        rival=account.rival(offered.space, outcome),
        residual_median=median,
        residual_p90=p90,
        has_pair_terms=has_figures and explorer.model.has_pair_terms,
        is_profiled=explorer.is_profiled,
        doubts=list(dict.fromkeys([*explorer.doubts, *outcome.doubts, *notes])),
        energy=figures,
        host_s=host_s,
    )
    return found.model_copy(update={"summary": sentences(found)})


def _deliver(task: Task, judge: EvaluationJudge, outcome: Outcome, found: Optimisation, watch: Watch) -> str:
    """Write the bundle of the dense network, that in INT8 and those that are delivered; returns its id."""
    dense = Form(judge.offer.space.dense)
    names = {dense: BASELINE, **{form: form.name(judge.offer.space) for form in outcome.beside}}
    for place, form in enumerate(outcome.delivered, start=1):
        name = f"optimised-{place}" if place > 1 else "optimised"
        names[form] = form.name(judge.offer.space) if form.choice == dense.choice else f"{name}{form.suffix}"
    variants: list[Variant] = []
    data = f"{task.images.data.name}, test"
    for form, name in names.items():
        variant = judge.variant(form, name)
        variants.append(replace(variant, evaluation=judge.final_evaluation(variant, form, data)))
    for other in task.beside:
        evaluation = judge.evaluate_other(other)
        variants.append(replace(other, evaluation=host_evaluation(evaluation, data)))
    told = {"goal": found.goal, "device": found.device, "setting": found.setting}
    source = with_preparation(task.source, task.images.data)
    source = replace(source, provenance={**source.provenance, "optimised_for": told})
    test = task.images.data.test.first(task.images.verification)
    threads = task.setting.threads
    assert threads != "auto"  # a number was chosen by now
    return pack(
        task.out,
        source,
        variants,
        test,
        data,
        task.attack,
        class_names=task.images.data.class_names,
        threads=threads,
        optimisation=found.model_copy(update={"host_s": None}),  # the same networks give the same bundle
        progress=watch.progress,
    )
