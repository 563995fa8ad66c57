"""Upgrade of manifests from schema 1 to schema 2.

Schema 1 knew classifiers alone: one output of logits, labels for all images, a plan for each variant but the
baseline. Whatever is malformed is passed on as it is, for validation to name.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict

#: What those who wrote schema 1 called images that show nothing.
_NOISE = re.compile(r"random images|smooth patterns")


def upgrade(document: Dict[str, Any]) -> Dict[str, Any]:
    """Return ``document``, a manifest of schema 1 as plain data, in schema 2. It is left unchanged."""
    fields = {**document, "schema_version": 2}
    if "output" in fields:
        output = fields.pop("output")
        fields["outputs"] = [upgrade_output(output)]
        fields["task"] = {"kind": "classification" if _is_vector(output) else "outputs"}
    _change(fields, "verification", _verification)
    if isinstance(fields.get("variants"), list):
        fields["variants"] = [_variant(each) if isinstance(each, dict) else each for each in fields["variants"]]
    return fields


def upgrade_output(output: Any) -> Any:
    """Return the specification of an output in schema 2, which has no range of values."""
    if not isinstance(output, dict):
        return output
    return {key: value for key, value in output.items() if key not in ("low", "high")}


def _is_vector(output: Any) -> bool:
    shape = output.get("shape") if isinstance(output, dict) else None
    return isinstance(shape, list) and len(shape) == 1


def _verification(old: Dict[str, Any]) -> Dict[str, Any]:
    return {**old, "origin": _origin(old.get("data"))}


def _variant(old: Dict[str, Any]) -> Dict[str, Any]:
    fields = dict(old)
    plan, layers = fields.pop("plan", None), fields.pop("layers", [])
    if fields.get("role") == "gdws":
        fields["role"] = "converted"
    if plan is not None or layers != []:
        fields["steps"] = [{"kind": "gdws", "plan": plan, "layers": layers}]
    if "logits" in fields:
        fields["outputs"] = [fields.pop("logits")]
    adversarial = fields.pop("adversarial_logits", None)
    if adversarial is not None:
        fields["adversarial_outputs"] = [adversarial]
    _change(fields, "evaluation", _evaluation)
    return fields


def _evaluation(old: Dict[str, Any]) -> Dict[str, Any]:
    fields = {**old, "origin": _origin(old.get("data"))}
    accuracies = {kind: fields.pop(kind, None) for kind in ("natural", "robust")}
    fields["metrics"] = {f"{kind}_accuracy": found for kind, found in accuracies.items() if found is not None}
    return fields


def _origin(data: Any) -> str:
    return "noise" if isinstance(data, str) and _NOISE.match(data) else "labelled"


def _change(fields: Dict[str, Any], name: str, change: Callable[[Dict[str, Any]], Dict[str, Any]]) -> None:
    """Replace the object ``name`` of ``fields``, if it is one."""
    if isinstance(fields.get(name), dict):
        fields[name] = change(fields[name])
