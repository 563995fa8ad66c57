"""JUnit XML, as GitLab and Jenkins open it: a suite for each device, a case for each limit.

FAIL is a failure, INCONCLUSIVE is skipped with its reason, and a device that could not serve is an error.
"""

from __future__ import annotations

from xml.etree import ElementTree

from gdws._util.visible_text import visible
from gdws.gate.reports import DeviceReport, GateReport
from gdws.gate.verdicts import Verdict


def render_junit(report: GateReport) -> str:
    """The document, with its declaration."""
    root = ElementTree.Element("testsuites", name="gdws gate")
    for device in report.devices:
        root.append(_suite(device, report))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(device: DeviceReport, report: GateReport) -> ElementTree.Element:
    outcomes = [verdict.outcome for verdict in device.verdicts]
    unavailable = int(device.outcome is None)
    suite = ElementTree.Element(
        "testsuite",
        name=_text(device.device),
        tests=str(len(outcomes) + unavailable),
        failures=str(outcomes.count("FAIL")),
        errors=str(unavailable),
        skipped=str(outcomes.count("INCONCLUSIVE")),
        time=f"{device.duration_s:.3f}",
        timestamp=report.started_at.removesuffix("Z"),
    )
    for verdict in device.verdicts:
        suite.append(_case(device, verdict))
    if device.outcome is None:
        case = ElementTree.SubElement(suite, "testcase", classname=_text(device.device), name="device", time="0")
        ElementTree.SubElement(
            case, "error", type="unavailable", message=_text(device.error or "the device could not serve")
        )
    return suite


def _case(device: DeviceReport, verdict: Verdict) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=_text(f"{device.device}.{verdict.subject}"),
        name=_text(verdict.limit),
        time="0",
    )
    if verdict.outcome == "FAIL":
        failure = ElementTree.SubElement(case, "failure", type=verdict.limit, message=_text(verdict.sentence))
        failure.text = _text(verdict.sentence)
    elif verdict.outcome == "INCONCLUSIVE":
        ElementTree.SubElement(case, "skipped", message=_text(verdict.sentence))
    else:
        ElementTree.SubElement(case, "system-out").text = _text(verdict.sentence)
    return case


def _text(value: str) -> str:
    return visible(value, keep="\n\t")
