"""The agent's power sensor against tegrastats, over the same minute of load."""

from __future__ import annotations

import time
from typing import Dict, List, NamedTuple, Tuple

from gdws_agent.first_run.bench import Bench, clocks_in_words
from gdws_agent.first_run.network import DENSE
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Figure, Outcome, Table
from gdws_agent.first_run.tools.program import find_program
from gdws_agent.first_run.tools.tegrastats import INTERVAL_S, NAME, PLACES, Tegrastats
from gdws_agent.power import registry
from gdws_agent.power.base import SensorFailed, Window
from gdws_agent.power.rails import total_rule
from gdws_agent.probes import NO_SENSOR
from gdws_contract.measures import Power

#: How far apart the two means of a rail may be: both read the same monitors, at different moments.
TOLERANCE, TOLERANCE_W = 0.05, 0.1
_LOAD_S, _QUICK_LOAD_S = 60.0, 15.0
_FEWEST_LINES = 10
_TOTAL = "total"

Means = Dict[str, float]


class Difference(NamedTuple):
    """One rail, in watts."""

    rail: str
    sensor_w: float
    tegrastats_w: float

    @property
    def agrees(self) -> bool:
        """Whether both are the same within the tolerance."""
        return abs(self.sensor_w - self.tegrastats_w) <= max(TOLERANCE_W, TOLERANCE * self.tegrastats_w)


def check_rails(bench: Bench) -> Outcome:
    """Read both while the dense network runs, and compare the mean of each rail and of the total."""
    sensor = bench.probes.best_power_sensor()
    if sensor == NO_SENSOR:
        reasons = [f"{each.name}: {each.reason}" for each in bench.probes.power_sensors() if each.reason]
        raise CheckSkipped("no power sensor can be read here", *reasons)
    program = find_program(NAME, bench.tegrastats, PLACES)
    if program is None:
        raise CheckSkipped(
            "tegrastats is not here",
            "it is a part of L4T, on the host; copy it into the container and name it with --tegrastats: "
            "docker compose cp /usr/bin/tegrastats agent:/tmp/tegrastats",
        )
    tegrastats = Tegrastats(program)
    power, means, words = _read_both(bench, sensor, tegrastats)
    figures = [
        Figure(name="power sensor", value=sensor),
        Figure(name="total", value=power.scope),
        Figure(name="readings of the sensor", value=power.samples),
        Figure(name="lines of tegrastats", value=len(tegrastats.lines)),
        Figure(name="clocks", value=words),
    ]
    log = [tegrastats.last] if tegrastats.last else []
    if power.reason is not None:
        raise CheckFailed(f"{sensor} gave no power: {power.reason}", figures=figures, log=log)
    if len(tegrastats.lines) < _FEWEST_LINES:
        raise CheckFailed(
            f"tegrastats told the power of rails in {len(tegrastats.lines)} lines",
            "run it by hand: where it shows no rails, it may not read the kernel's files as this user",
            figures=figures,
            log=log,
        )
    return _judge(sensor, _differences(power, means), _alone(power, means), figures, log)


def _read_both(bench: Bench, name: str, tegrastats: Tegrastats) -> Tuple[Power, Means, str]:
    """Return what the sensor and tegrastats report for the same period of load."""
    load_s = _QUICK_LOAD_S if bench.quick else _LOAD_S
    protocol = bench.protocol(min_duration_ms=1e3 * load_s)
    with bench.fixed_clocks() as state:
        bench.measure([DENSE], bench.precision("fp16"), protocol=bench.protocol(min_duration_ms=0.0))  # builds
        sensor = registry.get(name, bench.settings.jtop_socket)
        try:
            sensor.start()
        except SensorFailed as error:
            raise CheckFailed(f"{name} cannot be read: {error}", "see what the start-up check says of it") from error
        try:
            tegrastats.start()
            start_s = time.monotonic()
            bench.measure([DENSE], bench.precision("fp16"), protocol=protocol, in_force=state)
            end_s = time.monotonic()
        finally:
            tegrastats.stop()
            trace = sensor.stop()
    account = trace.account([Window(start_s, end_s)], inferences=1, batch_size=1)
    # A line tells of the time before it.
    return account.power, tegrastats.means_w(start_s + INTERVAL_S, end_s), clocks_in_words(state)


def _differences(power: Power, tegrastats_w: Means) -> List[Difference]:
    """Return the rails that both report, and the total of the rails that make it up."""
    sensor_w = {rail.name: rail.mean_w for rail in power.rails}
    both = [Difference(name, watts, tegrastats_w[name]) for name, watts in sensor_w.items() if name in tegrastats_w]
    total_w = total_rule(tegrastats_w).total_w(tegrastats_w)
    if power.mean_w is not None and total_w is not None:
        both.append(Difference(_TOTAL, power.mean_w, total_w))
    return both


def _alone(power: Power, tegrastats_w: Means) -> List[str]:
    return sorted({rail.name for rail in power.rails} ^ set(tegrastats_w))


def _judge(
    sensor: str, differences: List[Difference], alone: List[str], figures: List[Figure], log: List[str]
) -> Outcome:
    figures = [*figures, Figure(name="rails that one of them alone tells", value=", ".join(alone) or "none")]
    rows = [[each.rail, each.sensor_w, each.tegrastats_w, each.sensor_w - each.tegrastats_w] for each in differences]
    tables = [Table(title="Mean power", columns=["rail", f"{sensor} W", "tegrastats W", "difference W"], rows=rows)]
    off = [each for each in differences if not each.agrees]
    if all(each.rail == _TOTAL for each in differences):
        raise CheckFailed(
            f"{sensor} and tegrastats have no rail in common",
            "attach this report to an issue: the rails of this board have other names",
            figures=figures,
            tables=tables,
            log=log,
        )
    if off:
        raise CheckFailed(
            f"{', '.join(each.rail for each in off)}: {sensor} and tegrastats differ by more than "
            f"{TOLERANCE:.0%} and {TOLERANCE_W} W",
            "where the total alone differs, the rule for this board's rails in docs/jetson.md is wrong: report it",
            figures=figures,
            tables=tables,
            log=log,
        )
    total = differences[-1]
    return Outcome(
        status="ok",
        summary=f"{len(differences)} rails agree; {total.rail} {total.sensor_w:.2f} W, "
        f"tegrastats {total.tegrastats_w:.2f} W",
        figures=figures,
        tables=tables,
        log=log,
    )
