"""The report over devices as one HTML file that needs nothing else."""

from __future__ import annotations

from gdws.results.report.fleet import shown
from gdws.results.report.fleet.facts import FleetFacts
from gdws.results.report.fleet.plots import latency_over_devices
from gdws.results.report.fleet.sentences import doubts, headline, standing_sentences
from gdws.results.report.fleet.tables import devices_table, plans_table, spreads_table, standings_table
from gdws.results.report.html import template_environment
from gdws_contract import __version__

#: Plots of so many settings are drawn; the tables have all.
_PLOTS = 6


def render_html(facts: FleetFacts) -> str:
    """The page on ``facts``. Every string of a result is escaped: a bundle may come from anyone."""
    drawn = [
        (block, latency_over_devices(block, key=f"latency{number}"))
        for number, block in enumerate(facts.blocks[:_PLOTS])
    ]
    plots = [(block, plot) for block, plot in drawn if plot is not None]
    is_whole = not (facts.odd or facts.set_aside or any(device.left_out for device in facts.devices))
    tone = "unknown" if not facts.blocks else "gain" if is_whole else "trade"
    return (
        template_environment()
        .get_template("fleet.html.j2")
        .render(
            facts=facts,
            kinds={device.name: device.kind for device in facts.devices},
            odd={each.device for each in facts.odd},
            aside={device.name: device.absent_as for device in facts.set_aside},
            headline=headline(facts),
            standing=standing_sentences(facts),
            doubts=doubts(facts),
            tone=tone,
            tables=[table for table in (plans_table(facts), standings_table(facts)) if table is not None],
            spreads=spreads_table(facts),
            devices=devices_table(facts),
            plots=plots,
            undrawn=max(0, len(facts.blocks) - _PLOTS),
            shown=shown,
            version=__version__,
        )
    )
