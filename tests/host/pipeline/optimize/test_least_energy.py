"""Whole searches for the least energy within a deadline, on a simulated board with power modes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gdws.errors import DeviceError, GdwsError
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline import Source
from gdws.pipeline.optimize import (
    BoardState,
    Effort,
    Goal,
    Optimisation,
    Task,
    Watch,
    all_power_modes,
    optimize,
)
from gdws_contract.archive import open_bundle
from gdws_contract.rest import Availability
from support import benchmark_results
from support.simulated_agent import SimulatedAgent
from support.toy_optimisation import narrow_source, toy_task

#: (times slower, watts while a network runs, watts at rest)
MODES = {"MAXN": (1.0, 30.0, 6.0), "MODE_15W": (2.0, 10.0, 5.0), "MODE_10W": None}
STATES = tuple(map(BoardState, MODES))
IN_15W, IN_MAXN = "power mode MODE_15W", "power mode MAXN"


@pytest.fixture(scope="module")
def source() -> Source:
    return narrow_source(3)


def _task(source: Source, folder: Path, deadline_ms: float, **fields: object) -> Task:
    return toy_task(source, folder, **{"goal": Goal("least_energy", deadline_ms), "states": STATES, **fields})


def _optimize(task: Task, agent: SimulatedAgent, monkeypatch: pytest.MonkeyPatch, **watch: object) -> Optimisation:
    monkeypatch.setattr("gdws.pipeline.optimize.meter.benchmark", agent.benchmark)
    return optimize(task, agent, watch=Watch(**watch))  # type: ignore[arg-type]


def test_the_mode_and_the_network_of_least_energy_are_delivered(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    agent, task = SimulatedAgent(modes=MODES), _task(source, tmp_path, 33.0)
    simulated = agent.device().model_copy(update={"simulated": True})
    monkeypatch.setattr(agent, "device", lambda: simulated)
    found = _optimize(task, agent, monkeypatch)
    assert (found.status, found.unit) == ("delivered", "mJ")
    assert "the device is simulated: its times and power describe no hardware" in found.doubts
    assert found.energy is not None
    chosen = found.energy.chosen
    assert chosen is not None
    assert chosen.state == IN_15W
    assert chosen.tail_ms <= 33.0
    kept = [point for point in found.energy.points if point.keeps_limits]
    assert len(kept) > 2
    assert chosen.energy_mj == min(point.energy_mj for point in kept)
    assert chosen.energy_low_mj < chosen.energy_mj < chosen.energy_high_mj
    assert chosen.period_mj == pytest.approx(chosen.energy_mj + 5.0 * (33.0 - chosen.latency_ms))
    assert chosen.keeps_limits
    assert found.energy.states == [IN_MAXN, IN_15W]
    assert any("power mode MODE_10W was left out: the board must reboot" in doubt for doubt in found.doubts)
    assert found.delivered[0].cost == pytest.approx(chosen.energy_mj, rel=0.02)
    with open_bundle(task.out) as bundle:
        assert bundle.manifest.provenance["optimised_for"]["setting"].endswith(IN_15W)
        assert bundle.manifest.optimisation.energy == found.energy
    jobs = len(agent.measured)
    again = _optimize(replace(task, known_costs=None), agent, monkeypatch)
    assert again.energy == found.energy
    assert len(agent.measured) == jobs + 1  # the mode that was refused is tried again


def test_a_network_whose_energy_is_missing_is_measured_again(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As where too few readings of the power fell into its time."""
    agents = [SimulatedAgent(modes=MODES, lacking=lacking) for lacking in (0, 2)]
    tasks = [_task(source, tmp_path / str(number), 33.0) for number in range(2)]
    expected, found = (_optimize(task, agent, monkeypatch) for task, agent in zip(tasks, agents, strict=True))
    assert found.energy == expected.energy
    assert len(agents[1].measured) == len(agents[0].measured) + 2


def test_energy_that_stays_missing_ends_the_search(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DeviceError, match="no energy of some networks in each of 3 measurements") as caught:
        _optimize(_task(source, tmp_path, 33.0), SimulatedAgent(modes=MODES, lacking=3), monkeypatch)
    assert "--min-duration" in str(caught.value.hint)


def test_other_deadlines_and_limits_start_from_what_was_measured(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    agent = SimulatedAgent(modes=MODES)
    slow = _optimize(_task(source, tmp_path, 33.0), agent, monkeypatch)
    fastest = {state: min(p.tail_ms for p in slow.energy.points if p.state == state) for state in slow.energy.states}
    unjudged = Effort(rounds=1, judgements=0)  # so that no network is known to keep the limits
    dense = _optimize(_task(source, tmp_path, 33.0, effort=unjudged), agent, monkeypatch)
    assert dense.status == "dense suffices"
    assert (dense.energy.chosen.network, dense.energy.chosen.state) == ("dense", IN_15W)
    short = _optimize(_task(source, tmp_path, 0.9 * fastest[IN_15W]), agent, monkeypatch)
    assert short.energy.chosen.state == IN_MAXN
    none = _optimize(_task(source, tmp_path, 0.5 * fastest[IN_MAXN]), agent, monkeypatch)
    assert (none.status, none.energy.chosen) == ("declined", None)
    assert "the fastest takes" in none.reason
    with open_bundle(tmp_path / "best.gdws") as bundle:
        assert [variant.name for variant in bundle.manifest.variants] == ["dense"]


def test_what_makes_no_sense_is_refused(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    agent = SimulatedAgent(modes=MODES)
    with pytest.raises(GdwsError, match="one power mode"):
        _optimize(_task(source, tmp_path, 33.0, goal=Goal("fastest")), agent, monkeypatch)
    with pytest.raises(GdwsError, match="in one precision"):
        _optimize(_task(source, tmp_path, 33.0, int8=Int8Settings()), agent, monkeypatch)


@pytest.mark.parametrize("goal", [Goal("least_energy", 33.0), Goal("max_energy_mj", 5.0)])
def test_without_a_power_sensor_nothing_is_measured(
    goal: Goal, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    agent = SimulatedAgent()
    with pytest.raises(GdwsError, match=r"measures no energy \(none: no power sensor was found\)"):
        _optimize(_task(source, tmp_path, 33.0, goal=goal, states=()), agent, monkeypatch)
    assert not agent.measured


def test_all_modes_are_those_that_the_sensor_tells():
    device = benchmark_results.device()
    jtop = Availability(name="jtop", available=True, detail={"power_modes": "MAXN, MODE_15W"})
    assert all_power_modes(device.model_copy(update={"power_sensors": [jtop]}), "http://board") == ["MAXN", "MODE_15W"]
    with pytest.raises(DeviceError, match="does not tell its power modes"):
        all_power_modes(device, "http://board")
