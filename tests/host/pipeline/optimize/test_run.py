"""Whole optimisations of a narrow network on a simulated device."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from gdws.errors import DeviceError, GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import shortened
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline import Source
from gdws.pipeline.optimize import (
    AccuracyLimits,
    Conversion,
    Goal,
    Optimisation,
    Setting,
    Task,
    Tuning,
    Watch,
    optimize,
)
from gdws.results.optimisation import load_optimisation
from gdws.training import DistillSettings, FinetuneSettings, distill
from gdws_contract.archive import open_bundle
from support.simulated_agent import SimulatedAgent
from support.toy import InterruptAt
from support.toy_optimisation import narrow_source, toy_task

FASTEST = Goal("fastest")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def source() -> Source:
    return narrow_source(4)


def _task(source: Source, folder: Path, goal: Goal = FASTEST, **fields: object) -> Task:
    return toy_task(source, folder, **{"goal": goal, "conversion": Conversion(skip=("2",)), **fields})


def _optimize(task: Task, agent: SimulatedAgent, monkeypatch: pytest.MonkeyPatch, **watch: object) -> Optimisation:
    monkeypatch.setattr("gdws.pipeline.optimize.meter.benchmark", agent.benchmark)
    return optimize(task, agent, watch=Watch(**watch))  # type: ignore[arg-type]


class Plain(NamedTuple):
    """An optimisation that nothing disturbed; its files are there to be read."""

    task: Task
    agent: SimulatedAgent
    found: Optimisation
    told: list[str]


@pytest.fixture(scope="module")
def plain(source: Source, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    task, agent = _task(source, tmp_path_factory.mktemp("plain")), SimulatedAgent()
    told: list[str] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        return Plain(task, agent, _optimize(task, agent, monkeypatch, tell=told.append), told)


def _figures(found: Optimisation) -> dict:
    return found.model_dump(exclude={"host_s"})


def test_a_faster_network_is_delivered_beside_the_dense_one(plain: Plain):
    task, _, found, told = plain
    assert found.status == "delivered"
    [best] = found.delivered
    assert best.speedup_low > 1
    assert best.final_natural is not None
    assert found.residual_median is not None
    assert found.residual_median < 0.03
    with open_bundle(task.out) as bundle:
        assert [variant.name for variant in bundle.manifest.variants] == ["dense", "optimised"]
        assert bundle.id == found.bundle_id
        assert bundle.manifest.provenance["optimised_for"]["setting"] == "onnxruntime, fp32, batch 1"
        assert bundle.manifest.provenance["images"] == {"resize": "crop"}
        assert bundle.manifest.task.classes == ["round", "square"]
        assert bundle.manifest.optimisation == found.model_copy(update={"host_s": None, "bundle_id": None})
    assert load_optimisation(task.state / "optimisation.json") == found
    converted = [layer for layer in found.layers if layer.option != "dense"]
    assert converted
    assert all(layer.ms is not None and layer.why.startswith(("saves", "lets")) for layer in converted)
    assert next(layer for layer in found.layers if layer.name == "2").why == "excluded by name"
    assert any("carriers" in line for line in told)
    assert found.summary[0].startswith("delivered: ")
    assert any("of measuring left)" in line for line in told)


def test_choices_under_a_lighter_attack_are_told(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    attack = AttackSpec(eps=0.02, step=0.01, iterations=3)
    choosing = shortened(attack, iterations=1)
    found = _optimize(_task(source, tmp_path, attack=attack, choosing=choosing), SimulatedAgent(), monkeypatch)
    [best] = found.delivered
    assert best.robust is not None
    assert best.final_robust is not None
    assert f"networks were chosen under {choosing}; figures on test images are under {attack}" in found.doubts
    again = _optimize(_task(source, tmp_path, attack=attack, choosing=attack), SimulatedAgent(), monkeypatch)
    assert not any("were chosen under" in doubt for doubt in again.doubts)


def test_natural_accuracy_is_told_on_more_images_than_are_attacked(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    attack = AttackSpec(eps=0.02, step=0.01, iterations=1)
    task = _task(source, tmp_path, attack=attack, choosing=attack)
    few = replace(task.images, validation=2, test=8)
    [best] = _optimize(replace(task, images=few), SimulatedAgent(), monkeypatch).delivered
    assert (best.natural.images, best.robust.images) == (20, 2)
    assert (best.final_natural.images, best.final_robust.images) == (len(few.data.test), 8)


def test_interrupted_anywhere_it_comes_to_the_same_and_measures_nothing_twice(
    source: Source, plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn = random.Random(1)
    agent = SimulatedAgent()
    task = _task(source, tmp_path / "cut")
    found = None
    for _ in range(60):
        jobs = drawn.randrange(1, 4)

        def cut() -> None:
            nonlocal jobs
            jobs -= 1
            if jobs == 0:
                raise KeyboardInterrupt

        agent.on_job = cut
        try:
            found = _optimize(task, agent, monkeypatch, progress=InterruptAt(drawn.randrange(50, 200)))
            break
        except KeyboardInterrupt:
            continue
    assert found is not None
    assert _figures(found) == _figures(plain.found)
    assert agent.measured == plain.agent.measured


def test_run_again_it_measures_nothing_and_known_costs_spare_the_carriers(
    plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    warm, jobs = SimulatedAgent(), len(plain.agent.measured)
    again = replace(plain.task, out=tmp_path / "again.gdws")
    for same in (again, replace(again, known_costs=None)):  # its own costs are known by now, and change nothing
        assert _figures(_optimize(same, plain.agent, monkeypatch)) == _figures(plain.found)
        assert len(plain.agent.measured) == jobs
    found = _optimize(replace(again, state=tmp_path / "other"), warm, monkeypatch)
    assert found.status == "delivered"
    assert warm.measured[0] == ("dense",)
    assert len(warm.measured) < jobs


def test_a_goal_out_of_reach_delivers_the_dense_network_alone(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    task = _task(source, tmp_path, Goal("max_latency_ms", 1e-3))
    found = _optimize(task, SimulatedAgent(has_profiles=False), monkeypatch)
    assert (found.status, found.delivered) == ("declined", ())
    assert "no network was measured to take 0.001 ms: the fastest takes" in found.reason
    assert not found.is_profiled
    with open_bundle(task.out) as bundle:
        assert [variant.name for variant in bundle.manifest.variants] == ["dense"]


def test_energy_is_bounded_in_millijoules(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    agent = SimulatedAgent(energy_per_ms=5.0)
    dense = _optimize(_task(source, tmp_path / "a", Goal("max_energy_mj", 1e6)), agent, monkeypatch)
    assert (dense.status, dense.unit) == ("dense suffices", "mJ")
    assert dense.dense is not None
    found = _optimize(_task(source, tmp_path / "b", Goal("max_energy_mj", 0.9 * dense.dense)), agent, monkeypatch)
    assert found.delivered[0].cost <= 0.9 * dense.dense


def test_measurements_of_a_device_that_changed_its_clocks_are_thrown_away(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert _optimize(_task(source, tmp_path), SimulatedAgent(disturbed=2), monkeypatch).status == "delivered"
    cooling = SimulatedAgent(disturbed=4)  # the next run meets one more
    with pytest.raises(DeviceError, match="changed its clocks or power mode in each of 3 measurements"):
        _optimize(_task(source, tmp_path / "melting"), cooling, monkeypatch)
    assert _optimize(_task(source, tmp_path / "melting"), cooling, monkeypatch).status == "delivered"


@pytest.mark.parametrize(
    ("unsteady", "kept"),
    [((0.5,), None), ((1.5,), None), ((0.5, 0.2), None), ((0.5, 0.08, 0.3), 0.08), ((0.04,), 0.04)],
)
def test_of_measurements_that_decide_one_that_is_sure_enough_counts_or_the_surest(
    source: Source,
    plain: Plain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unsteady: tuple[float, ...],
    kept: float | None,
):
    agent = SimulatedAgent(unsteady=unsteady)
    [expected] = plain.found.delivered
    [found] = _optimize(_task(source, tmp_path), agent, monkeypatch).delivered
    assert found.cost == pytest.approx(expected.cost * (1 + (kept or 0.0)))
    assert len(agent.measured) == len(plain.agent.measured) + sum(share > 0.05 for share in unsteady[:2])


def test_as_many_threads_as_suit_the_network_are_chosen_and_the_best_dense_is_to_be_beaten(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[str] = []
    setting = Setting("onnxruntime", threads="auto")
    agent = SimulatedAgent(threads_pace={1: (1.0, 1.0), 2: (1.5, 0.3)})
    found = _optimize(_task(source, tmp_path, setting=setting), agent, monkeypatch, tell=told.append)
    assert found.setting.endswith("1 thread")  # on two the dense network gains, the converted ones lose
    assert found.status == "declined"
    with open_bundle(tmp_path / "best.gdws") as bundle:
        assert bundle.manifest.threads == 1
    assert any("1 threads suit converted networks best" in line and "at its best, on 2" in line for line in told)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limits": AccuracyLimits(None, None)}, "without accuracy limits the fastest network"),
        ({"conversion": Conversion(skip=("nine",))}, "nine"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict, words: str
):
    with pytest.raises(GdwsError, match=words):
        _optimize(_task(source, tmp_path, **fields), SimulatedAgent(), monkeypatch)


def test_a_network_without_an_eligible_layer_stays_dense(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    agent = SimulatedAgent()
    found = _optimize(_task(source, tmp_path, conversion=Conversion(skip=("*",))), agent, monkeypatch)
    assert found.status == "declined"
    assert found.reason.startswith("no layer has an option")
    assert agent.measured == []


INT8 = Int8Settings(scheme="asymmetric", ranges="min-max")


@pytest.mark.parametrize(
    ("pace", "names", "rival"),
    [
        ((0.5, 0.9), ["dense", "dense-int8", "optimised-int8"], "dense-int8"),  # both together
        ((2.0, 0.2), ["dense", "dense-int8"], "dense-int8"),  # the dense network in INT8 beats all plans
        ((2.0, 2.0), ["dense", "optimised"], "dense"),  # INT8 is slow here
    ],
)
def test_of_all_precisions_the_fastest_is_delivered_and_told_against_the_best_dense_one(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pace: tuple[float, float],
    names: list[str],
    rival: str,
):
    agent = SimulatedAgent(int8_pace=pace)
    found = _optimize(_task(source, tmp_path, int8=INT8, known_costs=None), agent, monkeypatch)
    assert found.status == "delivered"
    assert found.rival is not None
    assert found.rival.name == rival
    with open_bundle(tmp_path / "best.gdws") as bundle:
        assert [variant.name for variant in bundle.manifest.variants] == names
    [best] = found.delivered
    assert best.int8 == ("int8" in names[-1])
    if names[-1] == "dense-int8":
        assert found.reason == "the dense network in INT8 is the fastest that keeps the limits"
        assert found.rival.gain is None
    else:
        assert found.rival.gain_low is not None
        assert found.rival.gain_low > 1
    jobs = len(agent.measured)
    assert _figures(_optimize(_task(source, tmp_path, int8=INT8, known_costs=None), agent, monkeypatch)) == _figures(
        found
    )
    assert len(agent.measured) == jobs


def test_the_layers_that_lose_most_stay_in_floating_point_where_that_is_fastest(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    agent = SimulatedAgent(int8_pace=(0.5, 0.9), mixed_pace=0.5)
    found = _optimize(_task(source, tmp_path, int8=INT8, known_costs=None), agent, monkeypatch)
    [best] = found.delivered
    assert best.int8
    assert "-int8-keep-" in best.name
    timed = {network.name.partition("-int8")[2] for network in found.networks if network.int8}
    assert timed == {"", "-keep-2", "-keep-6"}
    with open_bundle(tmp_path / "best.gdws") as bundle:
        delivered = bundle.manifest.variants[-1]
    assert delivered.name.startswith("optimised-int8-keep-")
    assert len(delivered.steps[-1].skipped) >= 2


def test_a_grouped_plan_is_not_tried_in_int8(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    agent = SimulatedAgent(int8_pace=(0.5, 0.9))
    monkeypatch.setattr("support.latency_law.PACE", {None: 1.0, "stacked": 0.9, "grouped": 0.1, "gather": 2.0})
    found = _optimize(_task(source, tmp_path, int8=INT8, known_costs=None), agent, monkeypatch)
    with open_bundle(tmp_path / "best.gdws") as bundle:
        quantised = [each for each in bundle.manifest.variants if each.is_quantised]
        assert all(layer.layout != "grouped" for variant in quantised for layer in variant.layers)
    assert found.status == "delivered"


def test_networks_are_tuned_before_they_are_judged_and_only_once(
    source: Source, plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []
    monkeypatch.setattr("gdws.pipeline.optimize.tuning.distill", lambda *a, **k: calls.append(1) or distill(*a, **k))
    tuning = Tuning(
        DistillSettings(steps=2, batch_size=8),
        FinetuneSettings(epochs=1, eps=0.0, batch_size=16, shift=0, validation_iterations=1),
    )
    task = _task(source, tmp_path, tuning=tuning)
    found = _optimize(task, SimulatedAgent(), monkeypatch)
    assert found.status == "delivered"
    assert len(calls) == 1
    with open_bundle(task.out) as bundle:
        kinds = [step.kind for step in bundle.manifest.variant("optimised").steps]
    assert kinds == ["gdws", "distill", "fine-tune"]
    assert plain.found.bundle_id != found.bundle_id


def test_a_front_is_of_one_precision(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(GdwsError, match="one precision"):
        _optimize(_task(source, tmp_path, Goal("pareto", 2), int8=INT8), SimulatedAgent(), monkeypatch)


def test_a_network_without_an_eligible_layer_may_still_gain_by_int8(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    agent = SimulatedAgent(int8_pace=(1.0, 0.5))
    found = _optimize(_task(source, tmp_path, conversion=Conversion(skip=("*",)), int8=INT8), agent, monkeypatch)
    assert found.status == "delivered"
    assert [network.name for network in found.delivered] == ["dense-int8"]
