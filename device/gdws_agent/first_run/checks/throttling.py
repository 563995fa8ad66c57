"""Does the machine throttle under load, and does the agent report it if, and only if, clocks really fell?"""

from __future__ import annotations

from typing import List, Optional

from gdws_agent.first_run.bench import Bench, clocks_in_words
from gdws_agent.first_run.network import DENSE
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Figure, Outcome, Table, Value
from gdws_agent.power.thermal import Gauges
from gdws_agent.probes import NO_SENSOR
from gdws_contract.thermal import ClockSummary, Thermal

#: Relative falls of a clock: up to the first is noise, beyond the second is throttling.
_STAYED, _FELL = 0.02, 0.10
_LOAD_S, _QUICK_LOAD_S = 60.0, 15.0
#: Only if these were read can a report say that no clock fell: they are what throttling lowers.
_JUDGED_BY = {"CPU", "GPU"}


def check_throttling(bench: Bench) -> Outcome:
    """Run the dense network without a pause and compare the agent's verdict with the clocks themselves."""
    if not _can_tell(bench):
        raise CheckSkipped("the kernel shows neither limits of clocks nor what holds them down here")
    load_s = _QUICK_LOAD_S if bench.quick else _LOAD_S
    protocol = bench.protocol(min_duration_ms=0.0, sustained_ms=1e3 * load_s)
    with bench.fixed_clocks() as state:
        sensor = bench.probes.best_power_sensor()  # it may be what tells the clocks
        cell = bench.measure([DENSE], bench.precision("fp16"), protocol=protocol, power_sensor=sensor, in_force=state)[
            DENSE
        ]
    if cell.sustained is None:
        reasons = [flag.detail for flag in cell.flags if flag.code == "sustained-failed"]
        raise CheckFailed("the load did not come to its end", *reasons)
    thermal = cell.sustained.thermal
    if thermal is None or thermal.throttled is None:
        raise CheckSkipped("neither the kernel nor the power sensor shows limits of clocks here")
    figures = [
        Figure(name="load", value=cell.sustained.duration_s, unit="s"),
        Figure(name="at first", value=cell.sustained.burst_fps, unit="images/s"),
        Figure(name="at the end", value=cell.sustained.sustained_fps, unit="images/s"),
        Figure(name="clocks", value=clocks_in_words(state)),
    ]
    return _judge(thermal, bool(state.jetson_clocks), figures, [_temperatures(thermal), _clocks(thermal)])


def _can_tell(bench: Bench) -> bool:
    """Return whether anything here can show a limited clock; a power sensor may, so it counts."""
    seen = Gauges(bench.root / "sys").read()
    return bool(seen.caps or seen.events or seen.limits_mhz) or bench.probes.best_power_sensor() != NO_SENSOR


def _judge(thermal: Thermal, clocks_fixed: bool, figures: List[Figure], tables: List[Table]) -> Outcome:
    falls = {clock.name: fall for clock in thermal.clocks for fall in [_fall(clock)] if fall is not None}
    deepest = max(falls.values(), default=None)
    signs = "; ".join(thermal.throttling)
    if thermal.throttled and set(falls) >= _JUDGED_BY and deepest is not None and deepest <= _STAYED:
        raise CheckFailed(
            f"the agent says that the board throttles, and no clock fell: {signs}",
            "attach this report to an issue: the agent's sign of throttling has another cause",
            figures=figures,
            tables=tables,
        )
    if thermal.throttled:
        return Outcome(
            status="warning",
            summary=f"this board is held back under load: {signs}",
            figures=figures,
            tables=tables,
            advice=["a better supply or cooling, a constant fan, or a lower power mode; figures of now are too low"],
        )
    if clocks_fixed and deepest is not None and deepest > _FELL:
        name = max(falls, key=lambda clock: falls[clock])
        raise CheckFailed(
            f"the {name} clock fell by {deepest:.0%} though it was fixed, and the agent saw no sign of throttling",
            "attach this report to an issue: something holds the clock down that the agent does not know",
            figures=figures,
            tables=tables,
        )
    return Outcome(
        status="ok", summary="no throttling, and no clock that says otherwise", figures=figures, tables=tables
    )


def _fall(clock: ClockSummary) -> Optional[float]:
    return 1.0 - clock.min_mhz / clock.max_mhz if clock.max_mhz > 0 else None


def _temperatures(thermal: Thermal) -> Table:
    rows: List[List[Value]] = [[each.name, each.start_c, each.max_c, each.end_c] for each in thermal.temperatures]
    return Table(title="Temperatures", columns=["zone", "start C", "highest C", "end C"], rows=rows)


def _clocks(thermal: Thermal) -> Table:
    rows: List[List[Value]] = [
        [each.name, each.min_mhz, each.mean_mhz, each.max_mhz, each.limit_mhz] for each in thermal.clocks
    ]
    return Table(
        title="Clocks under load", columns=["clock", "lowest MHz", "mean MHz", "highest MHz", "limit MHz"], rows=rows
    )
