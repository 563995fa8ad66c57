"""Robustness of engines that were attacked on the device, as a table for every renderer."""

from __future__ import annotations

from collections.abc import Callable

from gdws.results.report.figures import Facts, Measurement
from gdws.results.report.tables import Column, Table, measured_table
from gdws_contract.attacks import AttackResult
from gdws_contract.findings import text
from gdws_contract.findings.attacks import Against, square_words
from gdws_contract.measures import Proportion


def attacks(facts: Facts) -> Table | None:
    """Robustness of the engines that were attacked; None if none was."""

    def attack(cell: Callable[[AttackResult], str | None]) -> Callable[[Measurement], str | None]:
        return lambda m: None if m.attack is None else cell(m.attack)

    def replayed(m: Measurement) -> str | None:
        robust, host = (m.parity.robust, m.parity.robust_host) if m.parity else (None, None)
        if robust is None:
            return None
        return text.percent(robust.value) + ("" if host is None else f" (host {text.percent(host.value)})")

    columns = (
        Column("Images", attack(lambda a: text.whole(a.robust.count))),
        Column("Natural", attack(lambda a: text.percent(a.natural.value))),
        Column("Replayed inputs", replayed),
        Column("Under the attack, at most", attack(lambda a: _with_interval(a.robust))),
        Column("Under both, at most", attack(lambda a: _with_interval(a.robust_to_both))),
        Column("Against fp32", _change("fp32")),
        Column("Against its form in fp32", _change("floating-form")),
        Column("Against dense", _change("baseline")),
        Column("Queries", attack(lambda a: text.whole(a.queries))),
    )
    found = [m.attack for m in facts.measurements if m.attack is not None]
    names = list(dict.fromkeys(map(square_words, found)))
    note = (
        f"{'; '.join(names)}, by queries to the engines themselves. Shares of images that are classified correctly, "
        "with 95 % intervals: upper bounds, since another attack may fool what this one does not. Replayed inputs are "
        "all that the bundle has. Differences are in points, on the same images."
    )
    return measured_table(
        facts, "Attacked on the device", columns, lambda m: m.attack is not None, note, lambda m: m.reason
    )


def _with_interval(share: Proportion | None) -> str | None:
    return None if share is None else f"{text.percent(share.value)} ({text.percent_interval(share)})"


def _change(against: Against) -> Callable[[Measurement], str | None]:
    def cell(m: Measurement) -> str | None:
        found = m.attacked.changes if m.attacked else ()
        change = next((each.change for each in found if each.against == against), None)
        if change is None:
            return None
        return f"{text.points(change.points)} ({text.points(change.low)} to {text.points(change.high)})"

    return cell
