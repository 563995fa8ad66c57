"""Write a report over devices. Nothing here measures or reaches a device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws.results.report.fleet.facts import fleet_facts
from gdws.results.report.fleet.values import FleetMeasurement, SetAside

#: Suffixes of files that :func:`write_fleet_report` makes.
FORMATS = (".html", ".md", ".json")


def render_fleet_report(measured: Iterable[FleetMeasurement], set_aside: Sequence[SetAside], suffix: str) -> str:
    """The report in the format of a file ``suffix``.

    Results are read one at a time. Raises :class:`ResultError` if there is nothing to report on or the format is not
    one of :data:`FORMATS`.
    """
    facts = fleet_facts(measured, set_aside)
    if not facts.devices:
        raise ResultError("there are no devices to report on")
    if suffix == ".html":
        from gdws.results.report.fleet.html import render_html

        return render_html(facts)
    if suffix == ".md":
        from gdws.results.report.fleet.markdown import render_markdown

        return render_markdown(facts)
    if suffix == ".json":
        from gdws.results.report.fleet.flat import render_json

        return render_json(facts)
    raise ResultError(f"there is no report format {suffix!r}", hint=f"end the file name in {', '.join(FORMATS)}")


def write_fleet_report(measured: Iterable[FleetMeasurement], set_aside: Sequence[SetAside], out: Path) -> None:
    """Write the report on what was ``measured`` and the devices ``set_aside`` to ``out``, in the format of its suffix.

    Raises :class:`ResultError` as :func:`render_fleet_report` does, and OSError if the file cannot be written.
    """
    write_atomic(out, render_fleet_report(measured, set_aside, out.suffix.lower()).encode())
