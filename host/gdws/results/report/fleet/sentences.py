"""What a report over devices says in words: the choice for all boards, boards that stand out, and doubts."""

from __future__ import annotations

from collections.abc import Iterable

from gdws.results.report.fleet.boards import Standing
from gdws.results.report.fleet.facts import FleetFacts
from gdws.results.report.fleet.plans import Pick, Plans
from gdws.results.report.fleet.values import Case, Entry
from gdws_contract.findings import text
from gdws_contract.findings.intervals import IntervalEstimate


def headline(facts: FleetFacts) -> str:
    """The choice of the first case, or why there is none."""
    if not facts.plans:
        return "No device was asked to time a network." if facts.kinds else "No device was measured."
    found = facts.plans[0]
    more = len(facts.plans) - 1
    others = f" The table below has {text.plural(more, 'other setting')}." if more else ""
    return f"{choice(found, where=', '.join(found.case.words))}{others}"


def choice(found: Plans, *, where: str) -> str:
    """Which network suits the worst and the median board in one case, called ``where``."""
    if found.for_worst is None or found.for_median is None:
        return f"{where}: {found.reason}."
    worst, median = found.for_worst, found.for_median
    if found.boards == 1:
        return f"{where}: {worst.network} is the fastest on the only board, {worst.device}: {_pick(worst)}."
    if worst.network == median.network:
        return (
            f"{where}: {worst.network} is best for the worst board, {worst.device} ({_pick(worst)}), and for the "
            f"median board ({_pick(median)})."
        )
    return (
        f"{where}: {worst.network} is best for the worst board, {worst.device} ({_pick(worst)}); {median.network} is "
        f"best for the median board ({_pick(median)})."
    )


def _pick(pick: Pick) -> str:
    time = text.milliseconds(pick.median_ms)
    if pick.runner_up is None:
        return time
    return f"{time}, {gain_words(pick)}"


def gain_words(pick: Pick) -> str:
    """What it gains over the runner-up."""
    following = f"{pick.runner_up}, which takes {text.milliseconds(pick.runner_up_ms)}"
    if pick.gain is None:
        return f"next is {following}"
    figures = f"{text.ratio(pick.gain.value)} as fast, 95 % interval {interval_words(pick.gain)}"
    shown = "faster" if pick.is_shown else "not shown to be faster"
    return f"{shown} than {following}: {figures}"


def interval_words(found: IntervalEstimate | None, *, digits: int = 2) -> str:
    """The limits of a ratio, e.g. ``1.38–1.45``."""
    return text.UNKNOWN if found is None else f"{found.low:.{digits}f}–{found.high:.{digits}f}"


def standing_sentences(facts: FleetFacts) -> tuple[str, ...]:
    """One sentence for each board that stands out, with what only it has."""
    return tuple(
        f"{each.device} stands out from {text.plural(each.boards - 1, 'equal board')}: it takes "
        f"{text.ratio(each.ratio.value)} the time of the median one ({interval_words(each.ratio)}), over "
        f"{text.plural(each.cells, 'cell')}.{_only_it(facts, each)}"
        for each in facts.odd
    )


def peculiarity_words(facts: FleetFacts, standing: Standing) -> list[str]:
    """What only that board has, e.g. ``cpu governor: powersave (the others: performance)``."""
    return [
        f"{each.what}: {each.own} (the others: {each.others})" for each in facts.peculiarities.get(standing.device, ())
    ]


def _only_it(facts: FleetFacts, standing: Standing) -> str:
    found = peculiarity_words(facts, standing)
    return f" Only it has {'; '.join(found)}." if found else " No difference of its set-up is known."


def doubts(facts: FleetFacts) -> tuple[str, ...]:
    """Reservations as sentences, most important first; empty if there are none."""
    found = [
        f"{device.name} {'is' if device.is_retried else 'was'} {bare(device.absence)}." for device in facts.set_aside
    ]
    found += [f"{device.name} did not measure {bare(job)}." for device in facts.devices for job in device.left_out]
    simulated = [device.name for device in facts.devices if device.kind is not None and device.kind.simulated]
    if simulated:
        found.append(f"Simulated, so their times and power describe no hardware: {text.listed(simulated)}.")
    entries = [(block.case, entry) for block in facts.blocks for row in block.rows for entry in row]
    found += _failures(entries)
    found += _modes(facts)
    timed = [entry for _, entry in entries if entry.median_ms is not None]
    flagged = [entry for entry in timed if entry.flags]
    if flagged:
        codes = text.listed(sorted({flag.code for entry in flagged for flag in entry.flags}))
        names = text.listed(list(dict.fromkeys(entry.device for entry in flagged)))
        found.append(
            f"{text.plural(len(flagged), 'cell')} of the {len(timed)} timed carry a flag, on {names}: {codes}."
        )
    if facts.untimed:
        found.append(f"{text.plural(facts.untimed, 'result')} of profiles or attacks are not in this report.")
    return tuple(found)


def _failures(entries: Iterable[tuple[Case, Entry]]) -> list[str]:
    """Networks that failed on a device, or whose outputs differ there, once for each device and reason."""
    groups: dict[tuple[str, str, str, str], list[Case]] = {}
    what = {"parity_failed": "failed parity", "failed": "failed"}
    for case, entry in entries:
        if entry.state in what:
            key = (entry.network, what[entry.state], entry.device, entry.reason or "no reason is given")
            groups.setdefault(key, []).append(case)
    return [
        f"{network} {failed} on {device} in {text.plural(len(cases), 'setting')}: {bare(reason)}."
        for (network, failed, device, reason), cases in groups.items()
    ]


def _modes(facts: FleetFacts) -> list[str]:
    """Kinds whose boards ran the same cells in different power modes, so that they are not compared."""
    found: dict[str, None] = {}
    kinds = {device.name: device.kind for device in facts.devices}
    for block in facts.blocks:
        for kind in facts.kinds:
            modes: dict[str, dict[str, None]] = {}
            for row in block.rows:
                for entry in row:
                    if kinds[entry.device] == kind and entry.median_ms is not None:
                        clocks = {True: ", fixed clocks", False: ", free clocks", None: ""}[entry.jetson_clocks]
                        mode = f"{entry.power_mode or 'a mode that is not known'}{clocks}"
                        modes.setdefault(mode, {})[entry.device] = None
            if len(modes) > 1:
                told = "; ".join(f"{mode} on {text.listed(list(names))}" for mode, names in modes.items())
                found[
                    f"Boards of {kind.words} ran in different power modes and are compared in equal ones: {told}."
                ] = None
    return list(found)


def bare(reason: str | None) -> str:
    """``reason`` as part of a sentence."""
    return (reason or "no reason is given").rstrip(".")
