"""Whole jobs through the agent's own process, beside jtop's real service on the simulated Jetson."""

import json
import signal
import time

import pytest

from gdws_agent.board import jtop_clocks
from gdws_agent.errors import ClocksUnavailable
from gdws_contract.rest import DeviceInfo, Job
from support.agent_process import running_agent
from support.agents import PATIENCE_S, eventually
from support.bundles import tiny_bundle
from support.simulated_jetson import brisk_agent, one_release_is_enough, simulated_jetson

pytest.importorskip("jtop", reason="jetson-stats is not installed here: pip install jetson-stats")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.timeout(300)

#: Time enough to lose the service and to find it again, and then for readings in the windows of both variants.
LONG = {"warmup_ms": 50, "min_duration_ms": 12_000, "rounds": 4}
QUICK = {"warmup_ms": 1, "warmup_max_ms": 10, "min_duration_ms": 10, "min_iterations": 10, "rounds": 2}
#: What the board was in before a job: MAXN, clocks free.
FOUND = (0, False)


@pytest.fixture
def jetson(tmp_path):
    with simulated_jetson(tmp_path, "constant:level_w=15") as jetson:
        yield jetson


@pytest.fixture
def start(tmp_path, jetson):
    """Return a function that starts an agent on the board, or starts it again."""
    return lambda: running_agent(tmp_path / "data", None, f"--jtop-socket={jetson.socket}")


def seen(jetson):
    """Return the mode, and whether the clocks are fixed, as the files of the board have it."""
    cpu = jetson.root / "devices/system/cpu/cpu0/cpufreq"
    fixed = (cpu / "scaling_min_freq").read_text() == (cpu / "scaling_max_freq").read_text()
    return int((jetson.root / "simulated/nvpmodel").read_text().split()[-1]), fixed


def submit(agent, bundle, **request):
    form = {"bundle": ("b.gdws", bundle.read_bytes()), "request": (None, json.dumps(request), "application/json")}
    answer = agent.client.post("/benchmark", files=form)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def until_ended(agent, job_id):
    deadline = time.monotonic() + 4 * PATIENCE_S
    while True:
        job = Job.model_validate(agent.get(f"/benchmark/{job_id}", params={"wait": 30}))
        if job.state not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline, job.progress


def until_stage(agent, job_id, stage, round_number=0):
    def reached():
        progress = agent.get(f"/benchmark/{job_id}")["progress"]
        return progress["stage"] == stage and (progress["round"] or 0) >= round_number

    eventually(reached)


def expect_energy(cell):
    """Check that the cell has the power of the trace, and the energy that this power has in its windows."""
    power = cell.power
    assert power.reason is None, power.reason
    assert power.sensor == "jtop"
    assert power.samples >= 10
    assert power.mean_w == pytest.approx(15.0, rel=0.01)
    energy_mj = 15.0 * 1e3 * sum(window.duration_s for window in cell.rounds) / cell.latency.count
    assert power.energy_per_inference_mj == pytest.approx(energy_mj, rel=0.02)
    assert power.fps_per_watt == pytest.approx(1e3 / energy_mj, rel=0.02)


@pytest.mark.long
def test_a_benchmark_records_power_heat_mode_and_that_it_is_simulated(tmp_path, jetson, start):
    bundle = tiny_bundle(tmp_path / "b.gdws")
    with start() as agent:
        job_id = submit(
            agent,
            bundle,
            power_modes=["MODE_30W_ALL", "MODE_10W"],
            jetson_clocks=True,
            protocol={"idle_ms": 1, "sustained_ms": 500},
        )
        job = until_ended(agent, job_id)
        device = DeviceInfo.model_validate(agent.get("/device"))
        log = agent.log.read_text()

    assert device.simulated
    assert job.state == "done", log
    measured, refused = ([c for c in job.cells if c.key.power_mode == mode] for mode in ("MODE_30W_ALL", "MODE_10W"))
    assert {cell.error.code for cell in refused} == {"power-mode-needs-reboot"}
    assert len(measured) == len(refused) == 2
    assert all(cell.simulated for cell in job.cells)
    for cell in measured:
        assert (cell.state, cell.power_mode, cell.jetson_clocks) == ("done", "MODE_30W_ALL", True), cell.error
        expect_energy(cell)
        assert cell.power.idle_w == pytest.approx(15.0, rel=0.01)
        assert "for the power sensor" in cell.environment["min_duration_ms"]
        assert sum(window.duration_s for window in cell.rounds) >= 10.0
        limits = {clock.name: clock.limit_mhz for clock in cell.thermal.clocks}
        assert {"GPU", "EMC"} <= limits.keys()
        assert limits["EMC"] == 1600.0  # the cap of MODE_30W_ALL, by the service
        assert any(zone.max_c > 25 for zone in cell.thermal.temperatures)
        assert cell.sustained.duration_s >= 0.5
        assert "EMC" in {clock.name for clock in cell.sustained.thermal.clocks}
    assert seen(jetson) == FOUND
    assert not (tmp_path / "data/clocks.json").exists()


@one_release_is_enough
def test_an_agent_that_is_killed_gives_back_at_its_next_start(tmp_path, jetson, start):
    bundle = tiny_bundle(tmp_path / "slow.gdws", faults={"gdws": "slow"})
    with start() as agent:
        job_id = submit(agent, bundle, power_modes=[2], protocol=QUICK)
        until_stage(agent, job_id, "parity")
        assert seen(jetson)[0] == 2
        agent.process.send_signal(signal.SIGKILL)
        agent.wait()
        assert seen(jetson)[0] == 2
        assert (tmp_path / "data/clocks.json").exists()
    with start() as agent:
        eventually(lambda: "given back" in agent.log.read_text())
        agent.client.delete(f"/benchmark/{job_id}").raise_for_status()
        assert until_ended(agent, job_id).state == "cancelled"

    assert seen(jetson) == FOUND
    assert not (tmp_path / "data/clocks.json").exists()


@pytest.mark.long
@one_release_is_enough
def test_a_service_that_dies_costs_power_and_leaves_the_board_for_later(tmp_path, jetson, start):
    bundle = tiny_bundle(tmp_path / "b.gdws")
    with brisk_agent(tmp_path / "data", jetson) as agent:
        job_id = submit(agent, bundle, power_modes=[3], batch_sizes=[1, 2], protocol={**QUICK, "min_duration_ms": 4000})
        until_stage(agent, job_id, "measure")
        jetson.kill()
        job = until_ended(agent, job_id)

        assert job.state == "done"
        assert [cell.state for cell in job.cells] == ["done"] * 4
        for cell in job.cells:
            assert (cell.power_mode, cell.latency is None) == ("MODE_30W_ALL", False)
            assert cell.power.mean_w is None
            assert "jtop" in cell.power.reason
            assert "clocks-not-restored" in [flag.code for flag in cell.flags]
        assert "could not be restored" in agent.log.read_text()

        jetson.start()
        after = until_ended(agent, submit(agent, bundle, protocol={**QUICK, "rounds": 2}))
        assert {cell.power_mode for cell in after.cells} == {"MAXN"}

    assert seen(jetson) == FOUND


def test_what_can_be_known_without_connecting(tmp_path, jetson):
    jtop_clocks.check(jetson.socket)
    with pytest.raises(ClocksUnavailable, match="does not exist"):
        jtop_clocks.check(tmp_path / "elsewhere.sock")


@pytest.mark.long
@one_release_is_enough
def test_a_service_that_restarts_costs_some_readings(tmp_path, jetson, start):
    bundle = tiny_bundle(tmp_path / "b.gdws")
    with start() as agent:
        job_id = submit(agent, bundle, protocol=LONG)
        until_stage(agent, job_id, "measure", round_number=2)
        jetson.kill()
        jetson.start()
        job = until_ended(agent, job_id)

    assert [cell.state for cell in job.cells] == ["done", "done"]
    for cell in job.cells:
        expect_energy(cell)
        assert {"power-sensor-silent", "power-sensor-trouble"} & {flag.code for flag in cell.flags}


@one_release_is_enough
@pytest.mark.parametrize(
    ("arguments", "serves", "reason"), [(["--claim-version", "9.1.4"], True, "9.1.4"), ([], False, "does not exist")]
)
def test_without_a_service_a_job_has_times_and_the_device_says_why(tmp_path, arguments, serves, reason):
    bundle = tiny_bundle(tmp_path / "b.gdws")
    with simulated_jetson(tmp_path, "constant:level_w=15", *arguments) as jetson:
        if not serves:
            jetson.stop()
        with running_agent(tmp_path / "data", None, f"--jtop-socket={jetson.socket}") as agent:
            device = DeviceInfo.model_validate(agent.get("/device"))
            job = until_ended(agent, submit(agent, bundle, protocol=QUICK))

    (jtop,) = [sensor for sensor in device.power_sensors if sensor.name == "jtop"]
    assert not jtop.available
    assert reason in jtop.reason
    assert [cell.state for cell in job.cells] == ["done", "done"]
    for cell in job.cells:
        assert cell.latency.count > 0
        assert cell.power.mean_w is None
        assert cell.power.reason


@one_release_is_enough
def test_a_cancelled_job_gives_the_board_back(tmp_path, jetson, start):
    bundle = tiny_bundle(tmp_path / "b.gdws")
    with start() as agent:
        job_id = submit(agent, bundle, power_modes=["MODE_15W"], jetson_clocks=True, protocol=LONG)
        until_stage(agent, job_id, "measure")
        assert seen(jetson) == (2, True)
        agent.client.delete(f"/benchmark/{job_id}").raise_for_status()
        assert until_ended(agent, job_id).state == "cancelled"
        eventually(lambda: seen(jetson) == FOUND)
