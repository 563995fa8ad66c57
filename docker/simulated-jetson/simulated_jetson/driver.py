"""Plays a trace into the tree, and logs exactly what it wrote and when."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from . import board
from .thermal import Die
from .traces import Trace
from .tree import EMC, EMC_ACTIVITY, GPU_CLOCK, GPU_LOAD, Tree, cpu_clock, cpu_online, current_path, thermal_zone

#: Power follows the trace at this interval; load, clocks and temperatures at the slower one.
POWER_INTERVAL_S = 0.02
SLOW_INTERVAL_S = 0.5

LOG_COLUMNS = ("monotonic_s", "unix_s", *(f"{rail.name}_mw" for rail in board.RAILS), "total_mw")


class PowerLog:
    """A CSV file of what the rails held from when on.

    ``monotonic_s`` is the clock of ``time.monotonic()``, which every process of a machine shares.
    A row is written when a value changes; between two rows the files held the values of the
    earlier one. Powers are in mW as a reader of the files computes them: bus voltage x current.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._writer.writerow(LOG_COLUMNS)

    def record(self, currents_ma: list[int]) -> None:
        """Log the currents that the rails hold from now on."""
        powers_mw = [
            rail.bus_voltage_mv * current_ma // 1000 for rail, current_ma in zip(board.RAILS, currents_ma, strict=True)
        ]
        self._writer.writerow([f"{time.monotonic():.6f}", f"{time.time():.6f}", *powers_mw, sum(powers_mw)])
        self._file.flush()


class MachineLoad:
    """The processor load of this machine since the last call, from the kernel's counters."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._busy, self._total = self._read()

    def __call__(self) -> float:
        """Return the load between 0 and 1."""
        busy, total = self._read()
        passed = total - self._total
        load = (busy - self._busy) / passed if passed > 0 else 0.0
        self._busy, self._total = busy, total
        return min(max(load, 0.0), 1.0)

    def _read(self) -> tuple[int, int]:
        with self._stat.open() as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
        total = sum(ticks)
        return total - ticks[3] - ticks[4], total


class Driver:
    """Keeps the tree in motion until told to stop."""

    def __init__(
        self, tree: Tree, trace: Trace, log: PowerLog | None = None, load: Callable[[], float] | None = None
    ) -> None:
        self._tree = tree
        self._trace = trace
        self._log = log
        self._read_load = load if load is not None else MachineLoad()
        self._die = Die()
        self._jiffies = [0.0, 0.0]
        self._load = 0.0
        self._cycles_share = 1.0
        self._currents_ma = [0] * len(board.RAILS)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Play the trace from its beginning until ``stopped`` returns true."""
        start = time.monotonic()
        next_slow = 0.0
        tick = 0
        while not stopped():
            elapsed = time.monotonic() - start
            if elapsed >= next_slow:
                self.step_slow(SLOW_INTERVAL_S)
                next_slow = elapsed + SLOW_INTERVAL_S
            self.step_power(elapsed)
            tick += 1
            time.sleep(max(0.0, start + tick * POWER_INTERVAL_S - time.monotonic()))

    def step_power(self, elapsed_s: float) -> None:
        """Write the rails' currents for the moment ``elapsed_s`` after the start."""
        total_w = self._trace.power_w(elapsed_s, self._load * self._cycles_share)
        currents_ma = [rail.current_ma(total_w) for rail in board.RAILS]
        if currents_ma == self._currents_ma:
            return
        for rail, current_ma in zip(board.RAILS, currents_ma, strict=True):
            self._tree.write(current_path(rail), current_ma)
        self._currents_ma = currents_ma
        if self._log is not None:
            self._log.record(currents_ma)

    def step_slow(self, interval_s: float) -> None:
        """Write load, clocks and temperatures after ``interval_s`` more."""
        self._load = self._read_load()
        self._cycles_share = self._read_cycles_share()
        self._write_processor_time(interval_s)
        self._write_clocks()
        self._write_temperatures(interval_s)

    def _read_cycles_share(self) -> float:
        """Return the share of the board's processor cycles that its power mode allows."""
        online = [cpu for cpu in range(board.CPU_COUNT) if self._tree.read_int(cpu_online(cpu))]
        allowed_khz = sum(self._tree.read_int(f"{cpu_clock(cpu)}/scaling_max_freq") for cpu in online)
        return allowed_khz / (board.CPU_COUNT * board.CPU_MAX_KHZ)

    def _write_processor_time(self, interval_s: float) -> None:
        busy, idle = self._jiffies
        self._jiffies = [busy + 100 * interval_s * self._load, idle + 100 * interval_s * (1 - self._load)]
        busy, idle = (round(value) for value in self._jiffies)
        lines = [f"cpu {busy * board.CPU_COUNT} 0 0 {idle * board.CPU_COUNT} 0 0 0"]
        lines += [f"cpu{cpu} {busy} 0 0 {idle} 0 0 0" for cpu in range(board.CPU_COUNT)]
        self._tree.write("stat", "\n".join(lines))

    def _write_clocks(self) -> None:
        for cpu in range(board.CPU_COUNT):
            if self._tree.read_int(cpu_online(cpu)):
                clock = cpu_clock(cpu)
                self._scale(f"{clock}/scaling_min_freq", f"{clock}/scaling_max_freq", f"{clock}/scaling_cur_freq")
        self._scale(f"{GPU_CLOCK}/min_freq", f"{GPU_CLOCK}/max_freq", f"{GPU_CLOCK}/cur_freq")
        if not self._tree.read_int(f"{EMC}/mrq_rate_locked"):
            self._scale(f"{EMC}/min_rate", f"{EMC}/max_rate", f"{EMC}/rate")
        self._tree.write(GPU_LOAD, round(1000 * self._load))
        self._tree.write(EMC_ACTIVITY, round(self._load * self._tree.read_int(f"{EMC}/rate") / 10))

    def _scale(self, low: str, high: str, current: str) -> None:
        """Set a clock in proportion to the load, within its limits as they stand."""
        low_value, high_value = self._tree.read_int(low), self._tree.read_int(high)
        self._tree.write(current, round(low_value + (high_value - low_value) * self._load))

    def _write_temperatures(self, interval_s: float) -> None:
        power_w = sum(
            rail.bus_voltage_mv * current_ma for rail, current_ma in zip(board.RAILS, self._currents_ma, strict=True)
        )
        die_c = self._die.advance(power_w / 1e6, interval_s)
        for index, offset_c in enumerate(board.THERMAL_ZONES.values()):
            self._tree.write(f"{thermal_zone(index)}/temp", round(1000 * (die_c + offset_c)))
