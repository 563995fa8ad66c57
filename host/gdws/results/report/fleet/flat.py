"""The report over devices for programs."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from gdws.results.report.fleet.facts import FleetFacts
from gdws.results.report.fleet.sentences import doubts, headline, standing_sentences

#: History of the format: 1, first version. Fields may be added within a version.
SCHEMA_VERSION = 1


def render_json(facts: FleetFacts) -> str:
    """All figures and sentences with a ``schema_version``. Unknown is null."""
    document = {
        "headline": headline(facts),
        "findings": standing_sentences(facts),
        "doubts": doubts(facts),
        **TypeAdapter(FleetFacts).dump_python(facts, mode="json"),
    }
    return json.dumps({"schema_version": SCHEMA_VERSION, **document}, indent=1, ensure_ascii=False) + "\n"
