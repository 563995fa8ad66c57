"""Write host/ci/gdws-gate.schema.json: ``python tests/host/gate/write_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from gdws.gate.settings import GateSettings

SCHEMA = Path(__file__).parents[3] / "host" / "ci" / "gdws-gate.schema.json"


def content() -> str:
    """The schema of gdws-gate.toml, as editors read it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **GateSettings.model_json_schema()}
    return json.dumps({**schema, "title": "gdws-gate.toml"}, indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(content())
