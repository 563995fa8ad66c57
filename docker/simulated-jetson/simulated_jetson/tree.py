"""The sysfs files of the simulated board under one root, laid out as L4T r35 lays them out."""

from __future__ import annotations

import os
from pathlib import Path

from . import board

#: Says to whoever finds the tree that nothing in it was measured.
MARKER = "SIMULATED"

_GPU = f"devices/{board.GPU_DEVICE}"
GPU_CLOCK = f"{_GPU}/devfreq/{board.GPU_DEVICE}"
GPU_LOAD = f"{_GPU}/load"
EMC = "kernel/debug/bpmp/debug/clk/emc"
EMC_CAP = "kernel/nvpmodel_emc_cap/emc_iso_cap"
EMC_ACTIVITY = "kernel/debug/cactmon/mc_all"
#: What ``nvpmodel -q`` answers: a line with the mode's name, a line with its ID.
MODE = "simulated/nvpmodel"


class Tree:
    """Reads and writes the files under ``root``.

    A write replaces the file in one step, so that a reader never meets a half-written value; a
    real sysfs file gives the same promise.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch = root / f".scratch-{os.getpid()}"

    def write(self, path: str, value: object) -> None:
        """Make ``path`` hold ``value``, ended by a newline, or by NUL where it is a device tree property."""
        end = "\0" if "/of_node/" in path else "\n"
        self._scratch.write_text(f"{value}{end}")
        os.replace(self._scratch, self.root / path)

    def read_int(self, path: str) -> int:
        """Return the integer in ``path``."""
        return int((self.root / path).read_text())

    def build(self) -> None:
        """Create every file and link of the board, in the state after booting into MAXN."""
        (self.root / "class" / "power_supply").mkdir(parents=True, exist_ok=True)
        for path, value in _initial_values().items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            self.write(path, value)
        for name, target in _links().items():
            link = self.root / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(self.root / target, link.parent))


def rail_directory(rail: board.Rail) -> str:
    """Return the hwmon directory of the monitor that ``rail`` hangs on."""
    return f"bus/i2c/devices/{rail.i2c_device}/hwmon/{rail.hwmon}"


def voltage_path(rail: board.Rail) -> str:
    """Return the file with the bus voltage in mV."""
    return f"{rail_directory(rail)}/in{rail.channel}_input"


def current_path(rail: board.Rail) -> str:
    """Return the file with the current in mA."""
    return f"{rail_directory(rail)}/curr{rail.channel}_input"


def cpu_clock(cpu: int) -> str:
    """Return the cpufreq directory of one core."""
    return f"devices/system/cpu/cpu{cpu}/cpufreq"


def cpu_online(cpu: int) -> str:
    """Return the file that says whether a core is online."""
    return f"devices/system/cpu/cpu{cpu}/online"


def thermal_zone(index: int) -> str:
    """Return the directory of one thermal zone."""
    return f"devices/virtual/thermal/thermal_zone{index}"


def mode_answer(mode_id: int) -> str:
    """Return the lines that ``nvpmodel -q`` prints in a power mode."""
    return f"NV Power Mode: {board.POWER_MODES[mode_id].name}\n{mode_id}"


def _initial_values() -> dict[str, object]:
    values: dict[str, object] = {
        MARKER: "A simulated Jetson AGX Xavier. No value under this directory was measured.",
        MODE: mode_answer(0),
        "stat": "cpu 0 0 0 0 0 0 0",
        f"{_GPU}/of_node/name": "gv11b",
        f"{_GPU}/railgate_enable": 1,
        f"{_GPU}/enable_3d_scaling": 1,
        f"{_GPU}/power/control": "auto",
        GPU_LOAD: 0,
        f"{GPU_CLOCK}/governor": "nvhost_podgov",
        f"{GPU_CLOCK}/min_freq": board.GPU_MIN_HZ,
        f"{GPU_CLOCK}/max_freq": board.GPU_MAX_HZ,
        f"{GPU_CLOCK}/cur_freq": board.GPU_MIN_HZ,
        f"{EMC}/rate": board.EMC_MIN_HZ,
        f"{EMC}/min_rate": board.EMC_MIN_HZ,
        f"{EMC}/max_rate": board.EMC_MAX_HZ,
        f"{EMC}/mrq_rate_locked": 0,
        EMC_CAP: 0,
        EMC_ACTIVITY: 0,
    }
    for rail in board.RAILS:
        values.update(_monitor_values(rail))
    for cpu in range(board.CPU_COUNT):
        values.update(_cpu_values(cpu))
    for index, name in enumerate(board.THERMAL_ZONES):
        values[f"{thermal_zone(index)}/type"] = name
        values[f"{thermal_zone(index)}/temp"] = 25_000
    return values


def _monitor_values(rail: board.Rail) -> dict[str, object]:
    directory, channel = rail_directory(rail), rail.channel
    return {
        f"bus/i2c/devices/{rail.i2c_device}/name": "ina3221",
        f"{directory}/name": "ina3221",
        f"{directory}/in7_label": "sum of shunt voltages",
        f"{directory}/in{channel}_label": rail.name,
        f"{directory}/in{channel}_enable": 1,
        voltage_path(rail): rail.bus_voltage_mv,
        current_path(rail): 0,
        f"{directory}/curr{channel}_max": 32_760,
        f"{directory}/curr{channel}_crit": 32_760,
        f"{directory}/curr{channel}_max_alarm": 0,
        f"{directory}/curr{channel}_crit_alarm": 0,
    }


def _cpu_values(cpu: int) -> dict[str, object]:
    clock = cpu_clock(cpu)
    return {
        cpu_online(cpu): 1,
        f"{clock}/scaling_governor": "schedutil",
        f"{clock}/scaling_min_freq": board.CPU_MIN_KHZ,
        f"{clock}/scaling_max_freq": board.CPU_MAX_KHZ,
        f"{clock}/scaling_cur_freq": board.CPU_MIN_KHZ,
        f"{clock}/cpuinfo_min_freq": board.CPU_MIN_KHZ,
        f"{clock}/cpuinfo_max_freq": board.CPU_MAX_KHZ,
        f"{clock}/cpuinfo_cur_freq": board.CPU_MIN_KHZ,
    }


def _links() -> dict[str, str]:
    """Return link -> target, as class and driver directories of sysfs point at devices."""
    links = {
        f"class/devfreq/{board.GPU_DEVICE}": GPU_CLOCK,
        f"{GPU_CLOCK}/device": _GPU,
    }
    for rail in board.RAILS:
        links[f"class/hwmon/{rail.hwmon}"] = rail_directory(rail)
        links[f"bus/i2c/drivers/ina3221/{rail.i2c_device}"] = f"bus/i2c/devices/{rail.i2c_device}"
    for index in range(len(board.THERMAL_ZONES)):
        links[f"class/thermal/thermal_zone{index}"] = thermal_zone(index)
    return links
