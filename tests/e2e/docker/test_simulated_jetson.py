"""The simulated Jetson against the real client of jetson-stats: what is written is what is read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.simulated_jetson import PROJECT, SimulatedJetson, require_jtop, simulated_jetson

sys.path.insert(0, str(PROJECT / "docker" / "simulated-jetson"))

from simulated_jetson import board, commands, traces
from simulated_jetson.driver import Driver, MachineLoad
from simulated_jetson.thermal import AMBIENT_C, RESISTANCE_C_PER_W, Die
from simulated_jetson.tree import MARKER, Tree, current_path, voltage_path

#: Connects with jetson-stats' own client, runs the lines given to it, and prints the JSON of ``found``.
CLIENT = """
import json, sys, time
from jtop import jtop, service
service.JTOP_PIPE = sys.argv[1]
client = jtop(0.5)
found = {{}}
def wait_until(holds, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        client.ok()
        time.sleep(0.05)
    return True
try:
    client.start()
    client.ok()
{lines}
finally:
    client.close()
    print(json.dumps(found))
"""


def ask(jetson: SimulatedJetson, *lines: str) -> dict[str, Any]:
    script = CLIENT.format(lines="\n".join(f"    {line}" for line in lines))
    done = subprocess.run(
        [sys.executable, "-c", script, str(jetson.socket)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class TestTraces:
    def test_square_spends_its_duty_high_and_first(self) -> None:
        trace = traces.parse("square:low_w=5,high_w=25,period_s=4,duty=0.25")
        assert [trace.power_w(t, 0.0) for t in (0.0, 0.99, 1.0, 3.99, 4.0)] == [25, 25, 5, 5, 25]

    def test_ramp_rises_and_falls_back(self) -> None:
        trace = traces.parse("ramp:low_w=10,high_w=30,period_s=10")
        assert [trace.power_w(t, 0.0) for t in (0.0, 5.0, 10.0, 12.5)] == [10, 20, 10, 15]

    def test_load_following(self) -> None:
        trace = traces.parse("load:idle_w=6,busy_w=26")
        assert [trace.power_w(0.0, load) for load in (0.0, 0.5, 1.0)] == [6, 16, 26]

    @pytest.mark.parametrize(
        "text", ["sine", "constant:power=3", "constant:level_w=lots", "square:period_s=0", "load:idle_w=-1", "ramp:x"]
    )
    def test_what_is_not_a_trace_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"=|has no|no trace"):
            traces.parse(text)


class TestBoard:
    def test_the_rails_share_all_of_the_power(self) -> None:
        assert sum(rail.share for rail in board.RAILS) == pytest.approx(1.0)

    @pytest.mark.parametrize("total_w", [5.0, 12.34, 30.0])
    def test_rounding_to_the_monitor_costs_less_than_a_percent(self, total_w: float) -> None:
        written_w = sum(rail.bus_voltage_mv * rail.current_ma(total_w) for rail in board.RAILS) / 1e6
        assert written_w == pytest.approx(total_w, rel=0.01)


class TestTree:
    def test_every_link_leads_to_a_file_of_the_tree(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path / "sys")
        tree.build()
        links = [path for path in tree.root.rglob("*") if path.is_symlink()]
        assert links
        assert all(tree.root.resolve() in path.resolve(strict=True).parents for path in links)

    def test_it_says_that_it_is_simulated(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        tree.build()
        assert "No value" in (tmp_path / MARKER).read_text()
        assert "Simulated" in board.HARDWARE["Model"]

    def test_building_again_keeps_the_links(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        tree.build()
        tree.build()


class TestDriver:
    def test_power_temperature_and_load_follow(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        tree.build()
        driver = Driver(tree, traces.LoadFollowing(idle_w=10, busy_w=30), load=lambda: 0.5)
        driver.step_slow(0.5)
        driver.step_power(0.0)
        total_mw = sum(tree.read_int(voltage_path(r)) * tree.read_int(current_path(r)) for r in board.RAILS) / 1e3
        assert total_mw == pytest.approx(20_000, rel=0.01)
        driver.step_slow(1_000.0)
        zones = {
            (zone / "type").read_text().strip(): int((zone / "temp").read_text())
            for zone in tmp_path.glob("class/thermal/*")
        }
        assert zones["GPU-therm"] == pytest.approx(1000 * (AMBIENT_C + 20 * RESISTANCE_C_PER_W), rel=0.01)
        assert tree.read_int(f"devices/{board.GPU_DEVICE}/load") == 500

    def test_a_die_settles(self) -> None:
        die = Die()
        assert die.advance(10.0, 0.0) == AMBIENT_C
        assert die.advance(10.0, 1e6) == pytest.approx(AMBIENT_C + 10 * RESISTANCE_C_PER_W)

    def test_the_load_of_the_machine(self, tmp_path: Path) -> None:
        stat = tmp_path / "stat"
        stat.write_text("cpu 10 0 10 70 10 0 0 0 0 0\n")
        load = MachineLoad(stat)
        stat.write_text("cpu 30 0 20 130 20 0 0 0 0 0\n")
        assert load() == pytest.approx(0.3)
        assert load() == 0.0


class TestCommands:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Tree:
        tree = Tree(tmp_path / "sys")
        tree.build()
        return tree

    def test_a_mode_changes_clocks_and_cores(self, tree: Tree) -> None:
        assert commands.nvpmodel(tree, ["-m", "2"]) == []
        assert commands.current_mode(tree) == 2
        online = [tree.read_int(f"devices/system/cpu/cpu{cpu}/online") for cpu in range(board.CPU_COUNT)]
        assert online == [1, 1, 1, 1, 0, 0, 0, 0]

    def test_a_mode_that_needs_a_reboot_is_refused(self, tree: Tree) -> None:
        assert any("NVPM ERROR" in line for line in commands.nvpmodel(tree, ["-m", "1"]))
        assert commands.current_mode(tree) == 0

    def test_clocks_are_locked_and_restored(self, tree: Tree, tmp_path: Path) -> None:
        before = commands.jetson_clocks(tree, ["--show"])
        commands.jetson_clocks(tree, ["--store", str(tmp_path / "stored")])
        commands.jetson_clocks(tree, [])
        assert commands.jetson_clocks(tree, ["--show"]) != before
        commands.jetson_clocks(tree, ["--restore", str(tmp_path / "stored")])
        assert commands.jetson_clocks(tree, ["--show"]) == before

    @pytest.mark.parametrize("program", [commands.nvpmodel, commands.jetson_clocks])
    def test_what_is_not_simulated_is_refused(self, tree: Tree, program: Any) -> None:
        with pytest.raises(ValueError, match="not simulated"):
            program(tree, ["--fan"])


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedJetson]:
    require_jtop()
    with simulated_jetson(tmp_path_factory.mktemp("jetson"), "constant:level_w=20") as jetson:
        yield jetson


class TestService:
    def test_rails_read_are_rails_written(self, jetson: SimulatedJetson) -> None:
        found = ask(jetson, "found.update(client.power)")
        read_mw = {name: rail["power"] for name, rail in found["rail"].items()}
        written_mw = {rail.name: rail.bus_voltage_mv * rail.current_ma(20) // 1000 for rail in board.RAILS}
        assert read_mw == written_mw
        assert found["tot"]["power"] == sum(written_mw.values())

    def test_the_log_is_what_was_written(self, jetson: SimulatedJetson) -> None:
        written_w = sum(rail.bus_voltage_mv * rail.current_ma(20) // 1000 for rail in board.RAILS) / 1e3
        start_s = time.monotonic()
        time.sleep(0.1)
        end_s = time.monotonic()
        assert jetson.energy_j(start_s, end_s) == pytest.approx((end_s - start_s) * written_w)

    def test_board_temperatures_and_clocks(self, jetson: SimulatedJetson) -> None:
        found = ask(
            jetson,
            "found['board'] = client.board['hardware']",
            "found['temperature'] = {name: value['temp'] for name, value in client.temperature.items()}",
            "found['gpu'] = client.gpu['gv11b']['freq']['max']",
            "found['emc'] = client.memory['EMC']['max']",
            "found['cpus'] = len(client.cpu['cpu'])",
        )
        assert found["board"] == board.HARDWARE
        assert set(found["temperature"]) == {"CPU", "GPU", "AUX", "AO", "Tboard", "Tdiode"}
        assert all(AMBIENT_C - 5 < value < 60 for value in found["temperature"].values())
        assert (found["gpu"], found["emc"], found["cpus"]) == (1_377_000, 2_133_000, 8)

    def test_modes_and_clocks_are_set_through_jtop(self, jetson: SimulatedJetson) -> None:
        found = ask(
            jetson,
            "client.nvpmodel = 'MODE_30W_ALL'",
            "found['30W'] = wait_until(lambda: client.nvpmodel == 'MODE_30W_ALL')",
            "client.jetson_clocks = True",
            "found['locked'] = wait_until(lambda: client.jetson_clocks.get_enable())",
            "client.jetson_clocks = False",
            "found['released'] = wait_until(lambda: not client.jetson_clocks.get_enable())",
            "client.nvpmodel = 'MODE_10W'",
            "found['10W'] = wait_until(lambda: client.nvpmodel == 'MODE_10W', timeout_s=3)",
            "client.nvpmodel = 'MAXN'",
            "found['MAXN'] = wait_until(lambda: client.nvpmodel == 'MAXN')",
        )
        assert found == {"30W": True, "locked": True, "released": True, "10W": False, "MAXN": True}


def test_it_starts_again_after_a_crash(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path) as jetson:
        jetson.kill()
        assert jetson.socket.exists()
        jetson.start()
        assert ask(jetson, "found['rails'] = len(client.power['rail'])") == {"rails": 6}
    assert not jetson.socket.exists()


def test_a_version_can_be_claimed(tmp_path: Path) -> None:
    with simulated_jetson(tmp_path, "constant", "--claim-version", "4.2.9") as jetson:
        script = CLIENT.format(lines="    pass")
        done = subprocess.run([sys.executable, "-c", script, str(jetson.socket)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "service: [4.2.9]" in done.stderr
