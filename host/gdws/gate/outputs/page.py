"""The report as a self-contained HTML page."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, select_autoescape

from gdws._util.visible_text import visible_value
from gdws.gate.reports import GateReport


def render_page(report: GateReport) -> str:
    """The page. Every string of a result is escaped: a bundle may come from anyone."""
    environment = Environment(
        loader=PackageLoader("gdws.gate.outputs", "templates"),
        autoescape=select_autoescape(default=True),
        finalize=visible_value,
        trim_blocks=True,
    )
    return environment.get_template("gate.html.j2").render(report=report)
