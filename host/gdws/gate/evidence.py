"""On what the accuracies of a bundle were seen, and whether those of two bundles can be compared.

An accuracy says something against another only if both are of the same images and labels, and a robust one only if the
same attack made the adversarial inputs of each network. What is not known counts as different.
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
    """What the networks of a bundle take and give, the images that they replay, and the attack on them."""

    input: TensorSpec
    outputs: list[OutputSpec]
    images_sha256: Sha256
    labels_sha256: Sha256 | None
    count: int
    attack: Attack | None = None

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, document: Any) -> Any:
        """As baselines of before schema 3 hold it: with one output."""
        if not isinstance(document, dict) or "output" not in document:
            return document
        fields = dict(document)
        fields["outputs"] = [upgrade_output(fields.pop("output"))]
        return fields


def evidence_of(manifest: Manifest) -> Evidence:
    """The evidence that the bundle of ``manifest`` holds."""
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
    """The doubts about the accuracies of a candidate; ``baseline`` is None where it does not tell its evidence."""
    weak = _weakness(candidate.attack)
    alone: dict[Kind, str] = {} if weak is None else {"robust": weak}
    if not has_baseline:
        return Doubts(alone)
    if baseline is None:
        unknown = "the baseline does not tell its images and its attack; record it anew: gdws baseline"
        return Doubts(alone, {"natural": unknown, "robust": unknown})
    data = differing(_data(baseline), _data(candidate))
    attack = _attack_differences(baseline.attack, candidate.attack)
    against: dict[Kind, str] = {}
    if data:
        against["natural"] = f"the baseline's is of other data ({_listed(data)})"
    if data or attack:
        against["robust"] = f"the baseline's is of another attack or other data ({_listed((*data, *attack))})"
    return Doubts(alone, {**alone, **against})


def task_differences(baseline: Evidence, candidate: Evidence) -> tuple[Difference, ...]:
    """In what the tasks of two bundles differ: then nothing of them can be compared."""
    return differing(_task(baseline), _task(candidate))


def _weakness(attack: Attack | None) -> str | None:
    """Why an accuracy under ``attack`` is no robust accuracy."""
    if attack is None:
        return "the bundle does not tell the attack"
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
    """Every setting of an attack and of its parts, also one that a later release adds."""
    found = {f"{name}: {key}": _text(value) for key, value in attack.model_dump(exclude={"parts"}).items()}
    for number, part in enumerate(attack.parts or [], start=1):
        found |= _fields(f"{name}, part {number}", part)
    return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _listed(differences: tuple[Difference, ...]) -> str:
    return "; ".join(map(str, differences))
