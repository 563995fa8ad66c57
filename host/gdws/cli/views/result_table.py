"""Prints a benchmark's result as tables, with the figures of the report."""

from __future__ import annotations

from rich.markup import escape

from gdws.cli.views.grid import print_grid
from gdws.cli.views.output import print_table, results
from gdws.results.report import Summary
from gdws.results.report.figures import Measurement
from gdws.results.report.open_loop import pacing_tables
from gdws.results.report.tables import power_and_energy
from gdws_contract.findings import text

#: Narrow enough for a terminal of 80 columns; times in milliseconds.
_COLUMNS = ("network", "median", "p95", "p99", "FPS", "speed-up", "interval", "parity", "flags")


def print_summary(summary: Summary) -> None:
    """Print a table for each setting, those of power and deadlines if measured, then the verdict and reservations."""
    facts = summary.facts
    for setting in facts.settings:
        title = f"{', '.join(setting.words)}; times in ms, 95 % intervals"
        print_table(_COLUMNS, [_row(m) for m in facts.at(setting)], title=title, words=["parity"])
        results().print()
    _print_metrics(summary)
    power = power_and_energy(facts)
    if power is not None:
        print_grid(power, "power")
    for paced in pacing_tables(facts):
        print_grid(paced, paced.title.lower())
    results().print(f"[bold]{escape(summary.headline)}[/]")
    for doubt in summary.doubts:
        results().print(f"- {escape(doubt)}")


def _print_metrics(summary: Summary) -> None:
    """Those of the task that lead, in place of accuracies; none of classifiers."""
    facts = summary.facts
    if not facts.leading:
        return
    rows = []
    for variant in facts.variants:
        found = [variant.metric(each.name) for each in facts.leading]
        rows.append([variant.name, *(text.UNKNOWN if each is None else each.shown for each in found)])
    data = {variant.evaluated_on for variant in facts.variants} - {None}
    title = f"on the host: {', '.join(sorted(filter(None, data)))}"
    print_table(("network", *(each.words for each in facts.leading)), rows, title=title)
    results().print()


def _row(m: Measurement) -> list[str]:
    latency, speedup = m.latency, m.speedup
    return [
        m.variant,
        text.significant(latency.median_ms if latency else None),
        text.significant(latency.p95_ms if latency else None),
        text.significant(latency.p99_ms if latency else None),
        text.significant(m.fps),
        "1" if m.is_baseline and latency else text.ratio(speedup.ratio if speedup else None),
        text.ratio_interval(speedup.interval if speedup else None),
        _parity(m),
        str(len(m.flags)) if m.flags else "",
    ]


def _parity(m: Measurement) -> str:
    if m.parity is not None:
        return "passed" if m.parity.passed else "FAILED"
    return m.state.replace("_", " ")
