"""Files as the kernel of a Jetson shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple


def put(path: Path, value: object) -> None:
    """Write ``value`` and a newline to a file, with the folders that lead there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")


def put_ina3221(sysfs: Path, device: str, rails: Dict[str, Tuple[int, int]], hwmon: str = "hwmon3") -> Path:
    """Lay out a power monitor with ``rails`` {label: (mV, mA)} as JetPack 5 and later do; return its hwmon folder."""
    folder = sysfs / f"bus/i2c/devices/{device}/hwmon/{hwmon}"
    put(sysfs / f"bus/i2c/devices/{device}/name", "ina3221")
    for number, (label, (volts, amperes)) in enumerate(rails.items(), 1):
        put(folder / f"in{number}_label", label)
        put(folder / f"in{number}_input", volts)
        put(folder / f"curr{number}_input", amperes)
    put(folder / "in7_label", "sum of shunt voltages")
    put(folder / "in7_input", 0)
    return folder


def put_ina238(sysfs: Path, device: str, volts: int, amperes: int) -> Path:
    """Lay out Thor's monitor of its input, in mV and mA, as the kernel does: without a label; return its folder."""
    folder = sysfs / f"bus/i2c/devices/{device}/hwmon/hwmon9"
    put(sysfs / f"bus/i2c/devices/{device}/name", "ina238")
    put(folder / "in0_input", 3)  # the shunt's
    put(folder / "in1_input", volts)
    put(folder / "curr1_input", amperes)
    put(folder / "power1_input", volts * amperes)
    return folder
