"""A sweep from its start to its end, on thin agents and SQLite."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from gdws.errors import GdwsError
from gdws.fleet.control import cancel, device_states
from gdws.fleet.coordinator import Coordinator
from gdws.fleet.folder import FleetFolder, with_devices
from gdws.fleet.reporting import measurements, set_aside
from gdws.fleet.states import DeviceState, Phase
from gdws.fleet.workflows import place_of
from support.agents import eventually
from support.bundles import tiny_bundle
from support.fleets import fleet_folder
from support.thin_agents import FAULTS, ThinAgents, thin_agents


def coordinator(folder: FleetFolder, answer_s: float = 60.0) -> Coordinator:
    """One that looks often, and does not reconnect."""
    return Coordinator(place_of(folder, None), poll_s=0.1, reconnect_s=0.0, answer_s=answer_s)


def swept(folder: FleetFolder, accept_identity: tuple[str, ...] = (), answer_s: float = 60.0) -> dict[str, DeviceState]:
    """Run a coordinator to its end; returns where the devices stand then."""
    with coordinator(folder, answer_s) as running:
        running.start(accept_identity=accept_identity)
        for found in running.watch():
            states = {device: standing.state for device, standing in found.items()}
    return states


def most(agents: ThinAgents) -> int:
    """How often the cell that was measured most often was measured."""
    return max(max(Counter(agent.measured).values(), default=0) for agent in agents)


def submitted(agents: ThinAgents) -> dict[str, int]:
    """The number of jobs on each device."""
    return {agent.name: len(agent.jobs) for agent in agents}


def test_every_device_measures_every_job_once(tmp_path: Path) -> None:
    with thin_agents(["a", "b", "c"]) as agents:
        folder = fleet_folder(tmp_path, {name: agents.url(name) for name in "abc"}, jobs=3)
        states = swept(folder)

    assert {state.phase for state in states.values()} == {Phase.DONE}
    assert {(state.tally.jobs, state.tally.cells) for state in states.values()} == {(3, 6)}
    assert [(device, job.name) for device, job, _ in folder.results()] == [
        (device, f"net.threads-{threads}") for device in "abc" for threads in (1, 2, 3)
    ]
    assert all(not result.partial and result.job.state == "done" for _, _, result in folder.results())
    assert most(agents) == 1
    assert {agent.uploads for agent in agents} == {1}
    assert device_states(place_of(folder, None)) == states


REASONS = {
    "hang": "did not answer in time",
    "garbage": "is not a gdws agent",
    "full": "storage-full",
    "no access": "token-unknown",
    "busy": "queue-full",
}


def test_devices_that_cannot_serve_are_set_aside_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    names = [fault.replace(" ", "-") for fault in FAULTS]
    with thin_agents(["sound", "renamed", *names]) as agents:
        for fault, name in zip(FAULTS, names, strict=True):
            agents[name].fault, agents[name].faulty_after = fault, 1
        agents["renamed"].renamed_after = 1
        urls = {agent.name: agents.url(agent.name) for agent in agents} | {"away": "http://127.0.0.1:9"}
        folder = fleet_folder(tmp_path, urls)
        states = swept(folder, answer_s=4.0)

        assert states.pop("sound").phase is Phase.DONE
        assert {state.phase for state in states.values()} == {Phase.SET_ASIDE}
        for fault, name in zip(FAULTS, names, strict=True):
            assert REASONS[fault] in (states[name].reason or "")
        assert "another machine answers" in (states["renamed"].reason or "")
        assert "host name 'renamed', now 'renamed-other'" in (states["renamed"].reason or "")
        assert "cannot be reached" in (states["away"].reason or "")
        assert {len(agent.measured) for agent in agents if agent.name != "sound"} == {2}
        assert {found.device for found in set_aside(folder, states)} == {*names, "renamed", "away"}
        assert not any(found.is_retried for found in set_aside(folder, states))
        assert len(list(measurements(folder))) == len(names) + 3

        for agent in agents:
            agent.fault = None
        mended = with_devices(folder, {"away": folder.record.devices["sound"]})
        states = swept(mended)
        assert {name for name, state in states.items() if state.phase is Phase.SET_ASIDE} == {"renamed"}
        states = swept(mended, accept_identity=("renamed",))
        assert {state.phase for state in states.values()} == {Phase.DONE}
        assert {state.tally.jobs for state in states.values()} == {2}
        assert most(agents) == 1


def test_a_device_that_comes_back_is_measured_in_the_same_run(tmp_path: Path) -> None:
    with thin_agents(["a", "b"], cell_s=1.0) as agents:
        agents["b"].fault = "busy"
        folder = fleet_folder(tmp_path, {name: agents.url(name) for name in "ab"}, batch_sizes=tuple(range(1, 31)))
        with coordinator(folder) as running:
            running.start()
            for found in running.watch():
                if found["b"].state.phase is Phase.RETRYING and found["b"].state.failures > 3:
                    [away] = set_aside(folder, {"b": found["b"].state})
                    assert away.is_retried
                    agents["b"].fault = None  # beyond its tries, which the other device prolongs
                    agents["a"].cell_s = agents["b"].cell_s = 0.0
                last = found
    assert last["b"].state.phase is Phase.DONE
    assert last["b"].state.reason is None


def test_a_job_whose_bundle_was_changed_is_left_out_with_the_reason(tmp_path: Path) -> None:
    with thin_agents(["a"]) as agents:
        folder = fleet_folder(tmp_path, {"a": agents.url("a")}, jobs=1)
        tiny_bundle(tmp_path / "net.gdws", name="another")
        [state] = swept(folder).values()
        assert state.phase is Phase.DONE
        assert "was changed since the sweep began" in state.tally.not_measured["net.threads-1"]
        [left] = set_aside(folder, {"a": state})
        assert left.job == "net.threads-1"
        assert not agents["a"].jobs


def test_a_coordinator_that_stops_leaves_its_jobs_to_the_next(tmp_path: Path) -> None:
    with thin_agents(["a", "b"], cell_s=0.3) as agents:
        folder = fleet_folder(tmp_path, {name: agents.url(name) for name in "ab"}, jobs=2)
        with coordinator(folder) as running:
            running.start()
            next(iter(running.watch()))
            eventually(lambda: all(agent.jobs for agent in agents))
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("dbos")]
        states = swept(folder)
    assert {state.phase for state in states.values()} == {Phase.DONE}
    assert submitted(agents) == {"a": 2, "b": 2}
    assert most(agents) == 1


def test_a_second_coordinator_is_refused_on_sqlite(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, {"a": "http://127.0.0.1:9"})
    with coordinator(folder), pytest.raises(GdwsError, match="another coordinator works on"), coordinator(folder):
        pass


def test_a_sweep_that_is_cancelled_ends_its_jobs_and_can_be_continued(tmp_path: Path) -> None:
    with thin_agents(["a", "b"], cell_s=1000.0) as agents:
        folder = fleet_folder(tmp_path, {name: agents.url(name) for name in "ab"}, jobs=2)
        place = place_of(folder, None)
        with coordinator(folder) as running:
            running.start()
            for found in running.watch():
                if all(agent.jobs for agent in agents) and not any(each.is_over for each in found.values()):
                    done = cancel(place)
        assert (sorted(done.devices), done.jobs, done.unreached) == (["a", "b"], 2, {})
        assert {state.phase for state in device_states(place).values()} == {Phase.CANCELLED}
        assert {job.state for agent in agents for job in agent.jobs.values()} == {"cancelled"}

        for agent in agents:
            agent.cell_s = 0.0
        assert {state.phase for state in swept(folder).values()} == {Phase.DONE}
        assert {result.job.state for _, _, result in folder.results()} == {"done"}
