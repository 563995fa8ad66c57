"""The report as one page of HTML that needs nothing else: for a phone, for an issue, for a mail."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Iterable, List, Optional

from gdws_agent.dashboard.files import load_files

from .report import STATUSES, CheckResult, Figure, Report, Status, Table, Value

_STYLE = Path(__file__).with_name("page.css")


def render(report: Report) -> str:
    """Return the page; every text of ``report`` is escaped."""
    style = load_files()["base.css"].content.decode() + _STYLE.read_text(encoding="utf-8")
    board = report.device.get("board") or "a machine that is not a Jetson"
    parts = [
        f"<h1>First run on {escape(str(board))}</h1>",
        f'<p class="lead">{escape(_lead(report))}</p>',
        *_banners(report),
        _overview(report),
        *(_check(check) for check in report.checks),
        '<p class="note">Names of people and machines, addresses, serial numbers and tokens were taken out. '
        "The same in figures: first-run.json, beside this page.</p>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>First run: {escape(_counts(report))}</title>\n<style>\n{style}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def _lead(report: Report) -> str:
    l4t = report.device.get("l4t")
    system = "" if l4t is None else f", L4T {l4t}"
    return (
        f"{_counts(report)}{system}, gdws-agent {report.version}, {report.started_at}, {report.duration_s / 60:.1f} min"
    )


def _counts(report: Report) -> str:
    return ", ".join(f"{report.count(status)} {status}" for status in STATUSES if report.count(status))


def _banners(report: Report) -> Iterable[str]:
    if report.simulated:
        yield _banner("The board, or a part of it, is simulated: nothing of that was measured.")
    if report.quick:
        yield _banner("A quick run: measured for a short time, on smaller images. Its figures are coarse.")
    if not report.complete:
        yield _banner("The run has not come to its end.", bad=True)


def _banner(text: str, bad: bool = False) -> str:
    return f'<p class="banner{" bad" if bad else ""}">{escape(text)}</p>'


def _overview(report: Report) -> str:
    rows = "".join(
        f'<tr><td>{_badge(check.status)}</td><td><a href="#{escape(check.name)}">{escape(check.title)}</a>'
        f'<span class="sub">{escape(check.summary)}</span></td><td class="number">{check.duration_s:.0f} s</td></tr>'
        for check in report.checks
    )
    return (
        '<table class="overview"><thead><tr><th scope="col">result</th><th scope="col">check</th>'
        f'<th scope="col" class="number">took</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _check(check: CheckResult) -> str:
    parts = [
        f'<section id="{escape(check.name)}">',
        f"<h2>{escape(check.title)} {_badge(check.status)}</h2>",
        f"<p>{_prose(check.summary)}</p>",
        _advice(check.advice),
        _figures(check.figures),
        *(_table(table) for table in check.tables),
        _log(check.log),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _badge(status: Status) -> str:
    return f'<span class="badge {status}">{status}</span>'


def _advice(advice: List[str]) -> Optional[str]:
    if not advice:
        return None
    items = "".join(f"<li>{_prose(text)}</li>" for text in advice)
    return f'<div class="advice"><h3>What to do</h3><ul>{items}</ul></div>'


def _figures(figures: List[Figure]) -> Optional[str]:
    if not figures:
        return None
    rows = "".join(
        f"<dt>{escape(figure.name)}</dt><dd>{escape(_in_words(figure.value))}"
        f"{'' if figure.unit is None or figure.value is None else escape(' ' + figure.unit)}</dd>"
        for figure in figures
    )
    return f"<dl>{rows}</dl>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in table.rows)
    return (
        f'<h3>{escape(table.title)}</h3><div class="wide" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(value: Value) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"<td{' class=number' if is_number else ''}>{escape(_in_words(value))}</td>"


def _prose(text: str) -> str:
    """Return a sentence, in which `code` stands as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _log(log: List[str]) -> Optional[str]:
    if not log:
        return None
    return f"<details><summary>Log</summary><pre>{escape(chr(10).join(log))}</pre></details>"


def _in_words(value: Value) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e5 else str(value)
