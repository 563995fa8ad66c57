"""A badge: the JSON for shields.io's endpoint, and a self-contained SVG."""

from __future__ import annotations

import json

from gdws.gate.reports import GateReport

_LABEL = "gdws gate"
_COLOURS = {"PASS": "2e7d32", "FAIL": "c62828", "INCONCLUSIVE": "8d6e00", "UNAVAILABLE": "616161"}
#: Width of a character in the SVG's face, generous, and the space around a word.
_CHARACTER, _PADDING = 7, 10


def badge_endpoint(report: GateReport) -> str:
    """See shields.io/badges/endpoint-badge."""
    fields = {"schemaVersion": 1, "label": _LABEL, "message": report.word.lower(), "color": _COLOURS[report.word]}
    return json.dumps({**fields, "isError": report.word != "PASS"}, indent=1) + "\n"


def badge_svg(report: GateReport) -> str:
    """Label and outcome side by side; both are our own words, so nothing needs escaping."""
    word = report.word.lower()
    left, right = (_CHARACTER * len(part) + 2 * _PADDING for part in (_LABEL, word))
    size = f'width="{left + right}" height="20"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{_LABEL}: {word}">
<title>{_LABEL}: {word}</title>
<rect width="{left}" height="20" fill="#424242"/>
<rect x="{left}" width="{right}" height="20" fill="#{_COLOURS[report.word]}"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left / 2:g}" y="14">{_LABEL}</text>
<text x="{left + right / 2:g}" y="14">{word}</text>
</g>
</svg>
"""
