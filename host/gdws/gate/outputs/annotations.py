"""Annotations by the workflow commands of GitHub Actions, one a line on standard output."""

from __future__ import annotations

from gdws._util.visible_text import visible
from gdws.gate.reports import GateReport

_LEVELS = {"FAIL": "error", "INCONCLUSIVE": "warning"}


def workflow_commands(report: GateReport) -> list[str]:
    """An error for each FAIL and each device that could not serve, a warning for each INCONCLUSIVE."""
    lines = []
    for device in report.devices:
        if device.outcome is None:
            lines.append(_command("error", f"gdws gate: {device.device}", device.error or "the device could not serve"))
        lines += [
            _command(_LEVELS[verdict.outcome], f"gdws gate: {verdict.limit} on {device.device}", verdict.sentence)
            for verdict in device.verdicts
            if verdict.outcome in _LEVELS
        ]
    return lines


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(value: str) -> str:
    return visible(value, keep="\n").replace("%", "%25").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
