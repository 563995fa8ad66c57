"""What a report over devices shows beside the matrix, as tables that every renderer shows."""

from __future__ import annotations

from collections.abc import Iterable

from gdws.results.report.fleet.boards import Spread
from gdws.results.report.fleet.facts import FleetFacts
from gdws.results.report.fleet.plans import Pick, Plans
from gdws.results.report.fleet.sentences import interval_words, peculiarity_words
from gdws.results.report.fleet.values import Device
from gdws.results.report.tables import Row, Table
from gdws_contract.findings import text


def devices_table(facts: FleetFacts) -> Table:
    """Every device with what it is, and those set aside with the reason."""
    timed = {
        device.name: sum(
            entry.median_ms is not None
            for block in facts.blocks
            for row in block.rows
            for entry in row
            if entry.device == device.name
        )
        for device in facts.devices
    }
    total = sum(len(block.networks) for block in facts.blocks)
    rows = tuple(
        Row(
            device.name,
            (
                device.kind.words if device.kind else text.UNKNOWN,
                ", ".join(device.tags) or text.UNKNOWN,
                f"{timed[device.name]} of {total}",
                _state(device),
            ),
        )
        for device in facts.devices
    )
    note = "Cells that were timed, of all that some device was asked for."
    columns = ("Kind", "Tags", "Cells timed", "State")
    return Table("Devices", "Device", columns, (("", rows),), note, words=("Kind", "Tags", "State"))


def _state(device: Device) -> str:
    if device.absence is not None:
        return device.absence
    return "; ".join(("measured", *(f"not {each}" for each in device.left_out)))


def plans_table(facts: FleetFacts) -> Table | None:
    """The network for the worst and for the median board, case by case; None without any times."""
    groups = tuple((" · ".join(plans.case.words), _plan_rows(plans)) for plans in facts.plans)
    if not groups:
        return None
    note = (
        "Worst board: the least of the highest median latencies over boards. Median board: the least median over "
        "boards. Only networks count that keep the baseline's accuracy or answers and were timed on every board. The "
        "gain is over the next: round by round where both are slowest on the same board, board by board at the median, "
        "with its 95 % interval."
    )
    columns = ("Network", "Median latency", "Next", "Its latency", "Gain")
    return Table("One network for all boards", "For", columns, groups, note, words=("Network", "Next"))


def _plan_rows(plans: Plans) -> tuple[Row, ...]:
    if plans.for_worst is None or plans.for_median is None:
        return (Row("all boards", (), plans.reason), *_left_out(plans))
    return (
        _pick_row(f"the worst of {text.plural(plans.boards, 'board')}, {plans.for_worst.device}", plans.for_worst),
        _pick_row("the median board", plans.for_median),
        *_left_out(plans),
    )


def _pick_row(name: str, pick: Pick) -> Row:
    gain = text.UNKNOWN if pick.gain is None else f"{text.ratio(pick.gain.value)} ({interval_words(pick.gain)})"
    if pick.gain is not None and not pick.is_shown:
        gain += ", not shown"
    cells = (
        pick.network,
        text.milliseconds(pick.median_ms),
        pick.runner_up or text.UNKNOWN,
        text.milliseconds(pick.runner_up_ms),
        gain,
    )
    return Row(name, cells)


def _left_out(plans: Plans) -> Iterable[Row]:
    return (Row(f"left out: {name}", (), reason) for name, reason in plans.left_out)


def standings_table(facts: FleetFacts) -> Table | None:
    """Every board against the median of its equals; None if no two boards are equal."""
    if not facts.standings:
        return None
    groups = []
    for kind in facts.kinds:
        found = [each for each in facts.standings if each.kind == kind]
        rows = tuple(
            Row(
                each.device,
                (
                    f"{each.ratio.value:.3f}×",
                    interval_words(each.ratio, digits=3),
                    text.whole(each.cells),
                    _finding(each.stands_out, peculiarity_words(facts, each)),
                ),
            )
            for each in found
        )
        if rows:
            groups.append((kind.words, rows))
    note = (
        "Latency over that of the median board of the same model, release and power mode: the geometric mean over the "
        "cells that they share. A board stands out if this is an outlier among its equals (generalised extreme "
        "Studentised deviate test, 5 % for a whole group), and its own interval, from its rounds and corrected for the "
        "number of boards, does not reach 1. Of two boards neither can be told to be the odd one."
    )
    columns = ("Against the median board", "Interval", "Cells", "Finding")
    return Table("Equal boards", "Board", columns, tuple(groups), note, words=("Finding",))


def _finding(stands_out: bool, peculiarities: list[str]) -> str:
    if not stands_out:
        return text.UNKNOWN
    return "; ".join(["stands out", *(f"only it has {each}" for each in peculiarities)])


def spreads_table(facts: FleetFacts) -> Table | None:
    """How far each network spreads over equal boards; None if no two boards are equal."""
    if not facts.spreads:
        return None
    several = len({spread.kind for spread in facts.spreads}) > 1
    groups: dict[str, list[Row]] = {}
    for spread in facts.spreads:
        name = ", ".join([spread.network, *([spread.kind.words] if several else []), *_mode(spread)])
        shown = f"{spread.ratio.value:.3f}×" if spread.ratio else text.UNKNOWN
        cells = (
            text.whole(spread.boards),
            f"{spread.fastest}, {text.milliseconds(spread.fastest_ms)}",
            f"{spread.slowest}, {text.milliseconds(spread.slowest_ms)}",
            shown,
            interval_words(spread.ratio, digits=3),
            "differ" if spread.is_shown else "not distinguishable",
        )
        groups.setdefault(" · ".join(spread.case.words), []).append(Row(name, cells))
    note = (
        "Typical latencies: the geometric mean of the medians of the rounds. The interval of slowest over fastest is "
        "Welch's at 95 % for all pairs of boards together (Bonferroni). What differs from run to run as a whole is not "
        "in it: heat, the place in memory, another build of the engine."
    )
    columns = ("Boards", "Fastest", "Slowest", "Slowest / fastest", "Interval", "Finding")
    rows = tuple((heading, tuple(each)) for heading, each in groups.items())
    return Table("Spread between equal boards", "Network", columns, rows, note, words=("Fastest", "Slowest", "Finding"))


def _mode(spread: Spread) -> list[str]:
    """The mode in force, where the setting does not say it already."""
    return [spread.power_mode] if spread.power_mode and spread.case.setting.power_mode is None else []
