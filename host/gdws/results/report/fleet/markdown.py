"""The report over devices as Markdown."""

from __future__ import annotations

from gdws.results.report.fleet import shown
from gdws.results.report.fleet.facts import FleetFacts
from gdws.results.report.fleet.sentences import doubts, headline, standing_sentences
from gdws.results.report.fleet.tables import devices_table, plans_table, spreads_table, standings_table
from gdws.results.report.fleet.values import Block
from gdws.results.report.markdown import escape, grid, table
from gdws.results.report.tables import Table


def render_markdown(facts: FleetFacts) -> str:
    """The text on ``facts``. Every string of a result is escaped: a bundle may come from anyone."""
    lines = ["# GDWS report over devices", "", f"**{escape(headline(facts))}**"]
    odd = [f"- {escape(sentence)}" for sentence in standing_sentences(facts)]
    lines += ["", *odd] if odd else []
    found = doubts(facts)
    if found:
        lines += ["", "Before you trust the figures:", "", *(f"- {escape(doubt)}" for doubt in found)]
    lines += ["", *_table(devices_table(facts))]
    for each in (plans_table(facts), standings_table(facts)):
        lines += _table(each)
    if facts.blocks:
        lines += ["## Networks by devices", ""]
    for block in facts.blocks:
        lines += [*_block(block), ""]
    lines += _table(spreads_table(facts))
    return "\n".join(lines).rstrip() + "\n"


def _table(found: Table | None) -> list[str]:
    return [] if found is None else [f"## {escape(found.title)}", "", *grid(found), escape(found.note), ""]


def _block(block: Block) -> list[str]:
    header = ["Device", *(f"{escape(each.name)}<br>{escape(shown.quality(each))}" for each in block.networks)]
    rows = [[escape(row[0].device), *(escape(shown.line(entry)) for entry in row)] for row in block.rows if row]
    details = [f"- {escape(each.name)}: {escape(each.words)}" for each in block.networks if each.quality != "baseline"]
    title = ", ".join(escape(word) for word in block.case.words)
    return [f"**{title}**", "", *table(header, rows), "", *details]
