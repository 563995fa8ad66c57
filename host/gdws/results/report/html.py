"""The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jinja2
from markupsafe import Markup

from gdws._util.visible_text import visible_value
from gdws.results.report.order import report_tables
from gdws.results.report.plots import Plot, accuracy_against_speed, latency_by_batch
from gdws.results.report.summary import Summary
from gdws.results.report.tables import Table, layer_profiles
from gdws.results.report.tasks import in_words
from gdws_contract import __version__
from gdws_contract.findings import text
from gdws_contract.findings.price import TOLERANCE_POINTS
from gdws_contract.findings.setting import Setting
from gdws_contract.findings.verdict import TITLES


@dataclass(frozen=True)
class Section:
    """One result on the page."""

    summary: Summary
    anchor: str
    accuracy_plot: Plot | None
    latency_plots: tuple[Plot, ...]
    tables: tuple[Table, ...]
    profiles: tuple[Table, ...]
    is_timed: bool


def render_html(summaries: Sequence[Summary]) -> str:
    """The page on ``summaries``. Every string of a result is escaped: a bundle may come from anyone."""
    sections = [_section(summary, index) for index, summary in enumerate(summaries)]
    return (
        template_environment()
        .get_template("report.html.j2")
        .render(
            sections=sections,
            settings=_all_settings(summaries),
            tolerance_points=TOLERANCE_POINTS,
            version=__version__,
        )
    )


def _section(summary: Summary, index: int) -> Section:
    facts, key = summary.facts, f"r{index}"
    first = facts.settings[0] if facts.settings else None
    groups: dict[Setting, list[Setting]] = {}
    for setting in facts.settings:
        groups.setdefault(replace(setting, batch_size=1), []).append(setting)
    latency = [
        latency_by_batch(facts, settings, key=f"{key}-latency{number}")
        for number, settings in enumerate(groups.values())
    ]
    return Section(
        summary=summary,
        anchor=f"result-{index + 1}",
        accuracy_plot=accuracy_against_speed(facts, first, key=f"{key}-accuracy") if first else None,
        latency_plots=tuple(plot for plot in latency if plot is not None),
        tables=report_tables(facts),
        profiles=layer_profiles(facts),
        is_timed=facts.findings.is_timed,
    )


def _all_settings(summaries: Sequence[Summary]) -> list[Setting]:
    """The settings of all results, each once, batches rising, for the comparison of several."""
    settings = dict.fromkeys(setting for summary in summaries for setting in summary.facts.settings)
    return sorted(settings, key=lambda s: (str(s.power_mode or ""), s.backend, s.precision, s.batch_size))


def template_environment() -> jinja2.Environment:
    """The templates of reports, which escape every value and write figures as people read them."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gdws.results.report"),
        autoescape=True,
        finalize=visible_value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "significant": text.significant,
        "ms": text.milliseconds,
        "whole": text.whole,
        "scaled": text.scaled,
        "mebibytes": text.mebibytes,
        "percent": text.percent,
        "percent_interval": text.percent_interval,
        "points": text.points,
        "ratio": text.ratio,
        "fewer": text.fewer,
        "ratio_interval": text.ratio_interval,
        "attack_settings": text.attack_settings,
        "task_in_words": in_words,
        "trusted_svg": lambda plot: Markup(plot.svg),  # our own plot, whose text ElementTree has escaped
    }
    environment.globals |= {"unknown": text.UNKNOWN, "undecided": TITLES["unknown"]}
    return environment
