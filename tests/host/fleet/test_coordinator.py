"""A sweep from its start to its end, on thin agents and SQLite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gdws.fleet.control import device_states
from gdws.fleet.coordinator import Coordinator
from gdws.fleet.folder import FleetFolder
from gdws.fleet.states import DeviceState, Phase
from gdws.fleet.workflows import place_of
from support.fleets import fleet_folder
from support.thin_agents import ThinAgents, thin_agents

FAST = {"poll_s": 0.1, "reconnect_s": 0.1, "answer_s": 1.0}


def swept(folder: FleetFolder, accept_identity: tuple[str, ...] = ()) -> dict[str, DeviceState]:
    """Run a coordinator to its end; returns where the devices stand then."""
    with Coordinator(place_of(folder, None), **FAST) as coordinator:  # type: ignore[arg-type]
        coordinator.start(accept_identity=accept_identity)
        for found in coordinator.watch():
            states = {device: standing.state for device, standing in found.items()}
    return states


def most(agents: ThinAgents) -> int:
    """How often the cell that was measured most often was measured."""
    return max(max(Counter(agent.measured).values(), default=0) for agent in agents)


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
