"""Results other than times as tables for every renderer: the task's metrics, power, heat, engines, layers.

A table is there only if the result has something for it, and a column only if one of its cells is known. So the
report of a machine without them stays short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gdws.results.report.figures import Facts, Measurement
from gdws_contract.findings import text
from gdws_contract.findings.metrics import MetricFinding, definition
from gdws_contract.measures import Power, TimeSummary
from gdws_contract.task import Detection
from gdws_contract.thermal import ClockSummary, TemperatureSummary


@dataclass(frozen=True)
class Row:
    """One line; with a ``reason`` there are no cells."""

    name: str
    cells: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True)
class Table:
    """Plain text for a renderer to escape. ``columns`` are without that of the names; ``words`` are those with text.

    ``groups`` are pairs of a heading, which may be empty, and the rows below it.
    """

    title: str
    first: str
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    note: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """``cell`` gives the text, or None where nothing is known."""

    title: str
    cell: Callable[[Measurement], str | None]


def device_tables(facts: Facts) -> tuple[Table, ...]:
    """The tables that have something to show, in the order of the report."""
    found = (
        task_metrics(facts),
        power_and_energy(facts),
        _device_times(facts),
        _sustained(facts),
        _heat(facts),
        _engines(facts),
    )
    return tuple(table for table in found if table is not None)


def task_metrics(facts: Facts) -> Table | None:
    """Every metric of every network; None of classifiers, whose accuracies stand beside their times.

    A network that a metric compares with itself is left out.
    """
    shown = [
        variant
        for variant in facts.variants
        if any(not (variant.is_baseline and each.is_agreement) for each in variant.metrics)
    ]
    metrics = {each.name: each for variant in shown for each in variant.metrics}
    if not metrics:
        return None
    rows = [
        Row(each.title, tuple(_metric(variant.metric(name), variant.is_baseline) for variant in shown))
        for name, each in metrics.items()
    ]
    data = ", ".join(_distinct(variant.evaluated_on for variant in shown))
    note = f"On the host: {data}; with 95 % intervals. {_sentence(_distinct(map(definition, metrics)))}"
    return Table(
        title="Metrics of the task",
        first="Metric",
        columns=tuple(variant.name for variant in shown),
        groups=(("", tuple(rows)),),
        note=f"{note}{_thresholds(facts)}".rstrip(),
    )


def layer_profiles(facts: Facts) -> tuple[Table, ...]:
    """One table for each measurement whose layers were timed, in the order in which they ran."""
    return tuple(_layers(m) for m in facts.measurements if m.profile is not None)


def power_and_energy(facts: Facts) -> Table | None:
    """What each network drew; None if no sensor gave a figure."""

    def shown(m: Measurement) -> bool:
        return m.power is not None and m.power.mean_w is not None

    def reason(m: Measurement) -> str | None:
        return m.power.reason if m.power is not None and m.power.mean_w is None else None

    columns = (
        Column("Mean power", _of_power(lambda p: _unit(p.mean_w, "W"))),
        Column("Peak", _of_power(lambda p: _unit(p.peak_w, "W"))),
        Column("Idle", _of_power(lambda p: _unit(p.idle_w, "W"))),
        Column("Energy per inference", _of_power(_energy)),
        Column("Above idle", _of_power(lambda p: _unit(p.net_energy_per_inference_mj, "mJ"))),
        Column("FPS per watt", _of_power(lambda p: _known(p.fps_per_watt))),
        Column("Readings", _of_power(_readings)),
    )
    scopes = _distinct(m.power.scope for m in facts.measurements if m.power is not None)
    sensors = _distinct(m.power.sensor for m in facts.measurements if shown(m) and m.power is not None)
    note = (
        f"{_sentence(scopes)}Sensor: {', '.join(sensors)}. An inference is one call with its whole batch; its energy "
        "is given with the 95 % interval of sampling and timing, without the calibration of the sensor. FPS per watt "
        "is images per joule."
    )
    return measured_table(facts, "Power and energy", columns, shown, note, reason)


def _device_times(facts: Facts) -> Table | None:
    def part(of: Callable[[Measurement], TimeSummary | None]) -> Callable[[Measurement], str | None]:
        def cell(m: Measurement) -> str | None:
            times = of(m)
            return None if times is None else f"{text.significant(times.median_ms)} ({text.significant(times.max_ms)})"

        return cell

    columns = (
        Column("n", lambda m: text.whole(m.device_latency.count) if m.device_latency else None),
        Column("H2D ms", part(lambda m: m.device_latency.h2d if m.device_latency else None)),
        Column("Compute ms", part(lambda m: m.device_latency.compute if m.device_latency else None)),
        Column("D2H ms", part(lambda m: m.device_latency.d2h if m.device_latency else None)),
        Column("By the host's clock", lambda m: text.milliseconds(m.latency.median_ms) if m.latency else None),
    )
    note = (
        "Medians, with the longest in brackets. H2D and D2H are the copies of inputs and outputs between host and "
        "device. These inferences were run right after each measured window and are not among those that the host "
        "timed."
    )
    return measured_table(facts, "By the device's clock", columns, lambda m: m.device_latency is not None, note)


def _sustained(facts: Facts) -> Table | None:
    def hottest(m: Measurement) -> str | None:
        return _temperature(_hottest(m.sustained.thermal.temperatures)) if m.sustained and m.sustained.thermal else None

    columns = (
        Column("Duration", lambda m: _unit(m.sustained.duration_s, "s") if m.sustained else None),
        Column("Burst FPS", lambda m: _known(m.sustained.burst_fps) if m.sustained else None),
        Column("Sustained FPS", lambda m: _known(m.sustained.sustained_fps) if m.sustained else None),
        Column(
            "Sustained / burst",
            lambda m: (
                text.percent(m.sustained.sustained_fps / m.sustained.burst_fps)
                if m.sustained and m.sustained.burst_fps
                else None
            ),
        ),
        Column("Hottest zone", hottest),
    )
    note = (
        "Each network run without a pause after the rounds. Burst: the first tenth of the time; sustained: the last "
        "fifth. Not part of latency, speed-up or energy."
    )
    return measured_table(facts, "Burst against sustained", columns, lambda m: m.sustained is not None, note)


def _heat(facts: Facts) -> Table | None:
    measured = [m for m in facts.measurements if m.thermal is not None]
    clocks = _distinct(clock.name for m in measured if m.thermal for clock in m.thermal.clocks)
    columns = (
        Column("Power mode", lambda m: m.power_mode),
        Column("jetson_clocks", lambda m: None if m.jetson_clocks is None else ("on" if m.jetson_clocks else "off")),
        Column("Hottest zone", lambda m: _temperature(_hottest(m.thermal.temperatures)) if m.thermal else None),
        *(Column(f"{name} MHz", _clock_cell(name)) for name in clocks),
        Column("Throttled", _throttled),
    )
    note = (
        "Read after each measured window. Temperatures: first to last reading, and the highest where that was between "
        "them. Clocks: mean, and the range where there was one."
    )

    def shown(m: Measurement) -> bool:
        return m.thermal is not None or (m.power_mode is not None and m.latency is not None)

    return measured_table(facts, "Heat and clocks", columns, shown, note)


def _engines(facts: Facts) -> Table | None:
    def spread(m: Measurement) -> str | None:
        found = m.build.spread if m.build else None
        if found is None:
            return None
        best, median, worst = (text.significant(each) for each in (found.best_ms, found.median_ms, found.worst_ms))
        return f"{found.count} built: {best} · {median} · {worst} ms"

    columns = (
        Column("Build time", lambda m: _unit(m.build.time_s, "s") if m.build else None),
        Column("From cache", lambda m: ("yes" if m.build.from_cache else "no") if m.build else None),
        Column("Size", lambda m: text.mebibytes(m.build.size_bytes) if m.build and m.build.size_bytes else None),
        Column("Precision in force", lambda m: m.build.precision if m.build else None),
        Column("Best · median · worst", spread),
    )
    note = (
        "A builder chooses by timing, so that its engines differ: where several were asked for, the one of median "
        "latency was kept. The build time of an engine from the cache is that of when it was built."
    )

    def shown(m: Measurement) -> bool:
        return m.build is not None and (m.build.size_bytes is not None or m.build.spread is not None)

    return measured_table(facts, "Engines", columns, shown, note)


def _metric(found: MetricFinding | None, is_baseline: bool) -> str:
    if found is None or (is_baseline and found.is_agreement):
        return text.UNKNOWN
    interval = "" if found.interval is None else f", {found.interval}"
    change = "" if found.change is None else f", {text.points(found.change.points)} points"
    return f"{found.shown}{interval}{change}"


def _thresholds(facts: Facts) -> str:
    """From where on a box counts, where boxes are what is compared."""
    if not isinstance(facts.task, Detection):
        return ""
    score, iou = facts.task.score_threshold, facts.task.iou_threshold
    return f"Objects count from a score of {score:g}, and are the same from an IoU of {iou:g}."


def _layers(m: Measurement) -> Table:
    profile = m.profile
    assert profile is not None
    has_source = any(layer.source for layer in profile.layers)
    has_kind = any(layer.kind for layer in profile.layers)
    rows = []
    for layer in profile.layers:
        cells = [layer.source or text.UNKNOWN] if has_source else []
        cells += [layer.kind or text.UNKNOWN] if has_kind else []
        rows.append(Row(layer.name, (*cells, text.significant(layer.mean_ms), text.percent(layer.share))))
    words = (*(("From layer",) if has_source else ()), *(("Kind",) if has_kind else ()))
    return Table(
        title=f"{m.variant}, {', '.join(m.setting.words)}",
        first="As it ran",
        columns=(*words, "Mean ms", "Share"),
        groups=(("", tuple(rows)),),
        note=(
            f"{profile.tool}, mean of {text.plural(profile.iterations, 'inference')}; all layers together take "
            f"{text.milliseconds(profile.total_ms)}. Profiling itself takes time: compare shares."
        ),
        words=words,
    )


def measured_table(
    facts: Facts,
    title: str,
    columns: Sequence[Column],
    shown: Callable[[Measurement], bool],
    note: str,
    reason: Callable[[Measurement], str | None] = lambda m: None,
) -> Table | None:
    """The table of the measurements that are ``shown``, and of those beside them that have a ``reason`` not to be."""
    if not any(shown(m) for m in facts.measurements):
        return None
    known = [column for column in columns if any(column.cell(m) for m in facts.measurements if shown(m))]
    groups = []
    for setting in facts.settings:
        rows = []
        for m in facts.at(setting):
            if shown(m):
                rows.append(Row(m.variant, tuple(column.cell(m) or text.UNKNOWN for column in known)))
            elif reason(m) is not None:
                rows.append(Row(m.variant, (), reason(m)))
        if rows:
            groups.append((" · ".join(setting.words), tuple(rows)))
    return Table(title, "Network", tuple(column.title for column in known), tuple(groups), note)


def _of_power(cell: Callable[[Power], str | None]) -> Callable[[Measurement], str | None]:
    return lambda m: None if m.power is None else cell(m.power)


def _energy(power: Power) -> str | None:
    if power.energy_per_inference_mj is None:
        return None
    interval = power.energy_interval
    around = "" if interval is None else f" ({text.significant(interval.low)}–{text.significant(interval.high)})"
    return f"{text.significant(power.energy_per_inference_mj)} mJ{around}"


def _readings(power: Power) -> str | None:
    if power.samples is None:
        return None
    each = "" if power.interval_ms is None else f", every {text.significant(power.interval_ms)} ms"
    return f"{text.whole(power.samples)}{each}"


def _hottest(zones: Sequence[TemperatureSummary]) -> TemperatureSummary | None:
    return max(zones, key=lambda zone: zone.max_c, default=None)


def _temperature(zone: TemperatureSummary | None) -> str | None:
    if zone is None:
        return None
    between = "" if zone.max_c <= max(zone.start_c, zone.end_c) else f", {zone.max_c:.0f} °C between"
    return f"{zone.name} {zone.start_c:.0f} → {zone.end_c:.0f} °C{between}"


def _clock_cell(name: str) -> Callable[[Measurement], str | None]:
    def cell(m: Measurement) -> str | None:
        clock = next((each for each in m.thermal.clocks if each.name == name), None) if m.thermal else None
        return None if clock is None else _clock(clock)

    return cell


def _clock(clock: ClockSummary) -> str:
    low, mean, high = (f"{value:.0f}" for value in (clock.min_mhz, clock.mean_mhz, clock.max_mhz))
    return mean if low == high else f"{mean} ({low}–{high})"


def _throttled(m: Measurement) -> str | None:
    if m.thermal is None or m.thermal.throttled is None:
        return None
    return f"yes: {'; '.join(m.thermal.throttling)}" if m.thermal.throttled else "no"


def _known(value: float | None) -> str | None:
    return None if value is None else text.significant(value)


def _unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{text.significant(value)} {unit}"


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _sentence(words: Sequence[str]) -> str:
    """``words`` as a sentence with a space behind it, if there are any."""
    joined = "; ".join(words)
    return f"{text.capitalised(joined)}. " if joined else ""
