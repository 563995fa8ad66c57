"""The summary in Markdown: for the step of a GitHub workflow, and as the body of a comment."""

from __future__ import annotations

from gdws.gate.reports import DeviceReport, GateReport
from gdws.results.report.markdown import escape, table
from gdws_contract.findings import text

_COLUMNS = ("verdict", "limit", "finding")


def render_summary(report: GateReport) -> str:
    """The outcome, the verdicts and the notes. Every string of a result is escaped."""
    against = "" if report.baseline is None else f" against {escape(report.baseline)}"
    lines = [f"## gdws gate: {report.word}", "", f"{escape(report.candidate)}{against}, {report.started_at}", ""]
    for device in report.devices:
        lines += _device(device)
    return "\n".join(lines).rstrip() + "\n"


def _device(device: DeviceReport) -> list[str]:
    runs = f"{text.plural(device.finished_runs, 'run')} in {device.duration_s:.0f} s"
    lines = [f"### {escape(device.device)}: {device.outcome or 'UNAVAILABLE'}", "", runs, ""]
    if device.error is not None:
        lines += [f"The device failed: {escape(device.error)}.", ""]
    # Verdicts that need attention come first.
    order = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
    verdicts = sorted(device.verdicts, key=lambda verdict: order[verdict.outcome])
    rows = [[v.outcome, escape(v.limit), escape(v.sentence)] for v in verdicts]
    if rows:
        lines += [*table(_COLUMNS, rows, words=_COLUMNS), ""]
    lines += [f"- {escape(note)}" for note in device.notes]
    return [*lines, ""]
