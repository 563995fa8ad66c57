"""The images and attack behind the accuracies of a bundle, and whether those of two bundles can be compared.

Accuracies are comparable only on the same images and labels, and robust accuracies only under the same attack. Unknown
properties count as different.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from gdws.gate.facts import Doubts, Kind
from gdws_contract.base import Record, Sha256
from gdws_contract.findings import text
from gdws_contract.findings.environment import Difference, differing
from gdws_contract.manifest import Attack, Manifest, OutputSpec, TensorSpec
from gdws_contract.manifest_v1 import upgrade_output


class Evidence(Record):
    """Input and outputs of a bundle's networks, the images that they replay, and the attack."""

    input: TensorSpec
    outputs: list[OutputSpec]
    images_sha256: Sha256
    labels_sha256: Sha256 | None
    count: int
    attack: Attack | None = None

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, document: Any) -> Any:
        """Upgrade documents from before schema 3, which have a single output."""
        if not isinstance(document, dict) or "output" not in document:
            return document
        fields = dict(document)
        fields["outputs"] = [upgrade_output(fields.pop("output"))]
        return fields


def evidence_of(manifest: Manifest) -> Evidence:
    """The evidence in the bundle of ``manifest``."""
    verification, members = manifest.verification, manifest.members
    return Evidence(
        input=manifest.input,
        outputs=manifest.outputs,
        images_sha256=members[verification.inputs].sha256,
        labels_sha256=None if verification.labels is None else members[verification.labels].sha256,
        count=verification.count,
        attack=verification.attack,
    )


def doubts(candidate: Evidence, baseline: Evidence | None, *, has_baseline: bool) -> Doubts:
    """Reasons against comparing the accuracies of a candidate; ``baseline`` is None if its evidence is unknown."""
    weak = _weakness(candidate.attack)
    alone: dict[Kind, str] = {} if weak is None else {"robust": weak}
    if not has_baseline:
        return Doubts(alone)
    if baseline is None:
        unknown = "the baseline does not record its images and attack; record it again: gdws baseline"
        return Doubts(alone, {"natural": unknown, "robust": unknown})
    data = differing(_data(baseline), _data(candidate))
    attack = _attack_differences(baseline.attack, candidate.attack)
    against: dict[Kind, str] = {}
    if data:
        against["natural"] = f"the baseline's is on other data ({_listed(data)})"
    if data or attack:
        against["robust"] = f"the baseline's is under another attack or on other data ({_listed((*data, *attack))})"
    return Doubts(alone, {**alone, **against})


def task_differences(baseline: Evidence, candidate: Evidence) -> tuple[Difference, ...]:
    """Differences between the tasks of two bundles, which rule out any comparison."""
    return differing(_task(baseline), _task(candidate))


def _weakness(attack: Attack | None) -> str | None:
    """Why an accuracy under ``attack`` is not a robust accuracy; None if it is."""
    if attack is None:
        return "the bundle does not record the attack"
    if all(part.eps == 0 for part in attack.parts or [attack]):
        return "the attack changes nothing, since its radius is 0"
    return None


def _task(evidence: Evidence) -> dict[str, str | None]:
    outputs = ", ".join(output.model_dump_json() for output in evidence.outputs)
    return {"input": evidence.input.model_dump_json(), "outputs": outputs}


def _data(evidence: Evidence) -> dict[str, str | None]:
    labels = None if evidence.labels_sha256 is None else evidence.labels_sha256[:12]
    return {"images": evidence.images_sha256[:12], "labels": labels, "count": str(evidence.count)}


def _attack_differences(before: Attack | None, now: Attack | None) -> tuple[Difference, ...]:
    if before is None or now is None:
        a, b = (None if attack is None else text.attack_settings(attack) for attack in (before, now))
        return () if before == now else (Difference(what="attack", a=a, b=b),)
    return differing(_fields("attack", before), _fields("attack", now))


def _fields(name: str, attack: Attack) -> dict[str, str | None]:
    """Every setting of an attack and of its parts, including any added by later releases."""
    found = {f"{name}: {key}": _text(value) for key, value in attack.model_dump(exclude={"parts"}).items()}
    for number, part in enumerate(attack.parts or [], start=1):
        found |= _fields(f"{name}, part {number}", part)
    return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _listed(differences: tuple[Difference, ...]) -> str:
    return "; ".join(map(str, differences))
