"""What the simulated board is: the rails, clocks and power modes of a Jetson AGX Xavier on L4T r35.4.1.

Sources: NVIDIA Jetson Linux Developer Guide r35, "Jetson Xavier NX Series and Jetson AGX Xavier
Series" (power monitors, supported modes); the hwmon interface of the kernel's ina3221 driver.
The bus voltages, and how the module's power is divided among the rails, are the simulator's own
round figures.
"""

from __future__ import annotations

from dataclasses import dataclass

CPU_COUNT = 8
CPU_MIN_KHZ = 115_200
CPU_MAX_KHZ = 2_265_600
GPU_MIN_HZ = 114_750_000
GPU_MAX_HZ = 1_377_000_000
EMC_MIN_HZ = 204_000_000
EMC_MAX_HZ = 2_133_000_000
GPU_DEVICE = "17000000.gv11b"

#: Thermal zones and how many degrees each lies off the die.
THERMAL_ZONES = {
    "CPU-therm": 0.5,
    "GPU-therm": 0.0,
    "AUX-therm": -1.0,
    "AO-therm": -1.5,
    "Tboard_tegra": -4.0,
    "Tdiode_tegra": -3.0,
}

#: The hardware record that jtop's clients read, with the mark of the simulation in every name that is shown.
HARDWARE = {
    "Model": "Simulated Jetson AGX Xavier",
    "Module": "Simulated NVIDIA Jetson AGX Xavier (32 GB ram)",
    "P-Number": "p2888-0004",
    "SoC": "tegra194",
    "CUDA Arch BIN": "7.2",
    "Codename": "Galen",
    "L4T": "35.4.1",
    "Jetpack": "5.1.2",
    "Serial Number": "simulated",
    "Simulated": "true",
}


@dataclass(frozen=True)
class Rail:
    """One channel of an INA3221 power monitor.

    ``share`` is the part of the module's power that this rail carries.
    """

    name: str
    i2c_device: str
    hwmon: str
    channel: int
    bus_voltage_mv: int
    share: float

    def current_ma(self, total_power_w: float) -> int:
        """Return the current in mA, rounded as the monitor's integer register would be."""
        return round(total_power_w * self.share * 1e6 / self.bus_voltage_mv)


RAILS = (
    Rail("GPU", "1-0040", "hwmon3", 1, 19_000, 0.40),
    Rail("CPU", "1-0040", "hwmon3", 2, 19_000, 0.20),
    Rail("SOC", "1-0040", "hwmon3", 3, 19_000, 0.15),
    Rail("CV", "1-0041", "hwmon4", 1, 19_000, 0.05),
    Rail("VDDRQ", "1-0041", "hwmon4", 2, 19_000, 0.10),
    Rail("SYS5V", "1-0041", "hwmon4", 3, 5_000, 0.10),
)


@dataclass(frozen=True)
class PowerMode:
    """One nvpmodel mode. Modes whose ``tpc_mask`` differs cannot follow each other without a reboot."""

    name: str
    cpus: int
    cpu_max_khz: int
    gpu_max_hz: int
    emc_max_hz: int
    tpc_mask: str = "0"


#: By nvpmodel ID, the position in the tuple.
POWER_MODES = (
    PowerMode("MAXN", 8, CPU_MAX_KHZ, GPU_MAX_HZ, EMC_MAX_HZ),
    PowerMode("MODE_10W", 2, 1_200_000, 520_000_000, 1_066_000_000, tpc_mask="1"),
    PowerMode("MODE_15W", 4, 1_200_000, 670_000_000, 1_333_000_000),
    PowerMode("MODE_30W_ALL", 8, 1_200_000, 900_000_000, 1_600_000_000),
    PowerMode("MODE_30W_6CORE", 6, 1_450_000, 900_000_000, 1_600_000_000),
    PowerMode("MODE_30W_4CORE", 4, 1_780_000, 900_000_000, 1_600_000_000),
    PowerMode("MODE_30W_2CORE", 2, 2_100_000, 900_000_000, 1_600_000_000),
    PowerMode("MODE_15W_DESKTOP", 4, 2_188_000, 670_000_000, 1_333_000_000),
)
DEFAULT_MODE = 2
