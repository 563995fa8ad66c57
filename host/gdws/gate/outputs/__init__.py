"""Outputs of a gate for CI: files in one folder, the summary of a GitHub step, and annotations."""

from __future__ import annotations

from gdws.gate.outputs.write import SCHEMA_VERSION, append_summary, remove_outputs, render_json, write_outputs

__all__ = ["SCHEMA_VERSION", "append_summary", "remove_outputs", "render_json", "write_outputs"]
