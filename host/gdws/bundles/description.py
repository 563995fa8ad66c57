"""A description of a bundle in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gdws_contract.archive import Bundle
from gdws_contract.manifest import Attack, Manifest, Variant
from gdws_contract.measures import Proportion

#: The source of labels, by the origin of the images.
_LABELS = {
    "labelled": "given with the images",
    "network": "what the baseline says of the images",
    "noise": "what the baseline says of noise",
}

#: The meaning of ``natural`` and ``robust`` of an evaluation, by the origin of its labels.
_MEASURED = {
    "labelled": "accuracies on",
    "network": "agreement with the baseline on",
    "noise": "agreement with the baseline on noise",
}


@dataclass(frozen=True)
class Description:
    """The contents of a bundle: ``facts`` are labelled lines, ``rows`` the variants under ``columns``."""

    facts: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def describe(bundle: Bundle) -> Description:
    """Return a description of ``bundle``; unknown values are "-"."""
    manifest = bundle.manifest
    shape = " x ".join(str(axis) for axis in manifest.input.shape)
    verification = manifest.verification
    attack = verification.attack
    facts = [
        ("name", manifest.name),
        ("id", bundle.id),
        ("size", _mib(sum(member.size for member in manifest.members.values()))),
        ("written by", f"{manifest.tool.name} {manifest.tool.version}, schema {manifest.schema_version}"),
        ("input", f"{manifest.input.name}: {shape} {manifest.input.dtype}"),
        ("task", manifest.task.kind),
        *_outputs(manifest),
        ("verification", f"{verification.count} images, {verification.data}"),
        ("labels", "none" if verification.labels is None else _LABELS[verification.origin]),
        ("adversarial inputs", "none" if attack is None else f"on each variant, {_attack_text(attack)}"),
    ]
    if manifest.description:
        facts.insert(1, ("description", manifest.description))
    facts += [(key, _plain(value)) for key, value in sorted(manifest.provenance.items())]
    evaluations = {
        (
            _MEASURED[evaluation.origin],
            f"{evaluation.data}; {_attack_text(evaluation.attack)}" if evaluation.attack else evaluation.data,
        )
        for evaluation in (variant.evaluation for variant in manifest.variants)
        if evaluation is not None
    }
    facts += sorted(evaluations)
    facts += [
        (f"doubt on {variant.name}", doubt)
        for variant in manifest.variants
        if variant.evaluation is not None and variant.evaluation.attack_check is not None
        for doubt in variant.evaluation.attack_check.doubts()
    ]
    columns = ("variant", "role", "method", "MACs", "parameters", "ONNX", "natural", "robust")
    rows = tuple(_row(variant, manifest.members[variant.onnx].size) for variant in manifest.variants)
    return Description(tuple(facts), columns, rows)


def _outputs(manifest: Manifest) -> list[tuple[str, str]]:
    if manifest.classes is not None:
        return [("output", f"{manifest.outputs[0].name}: {manifest.classes} classes")]
    return [
        ("output", f"{output.name}: {' x '.join(map(str, output.shape)) or 'one number'} {output.dtype}")
        for output in manifest.outputs
    ]


def _row(variant: Variant, onnx_bytes: int) -> tuple[str, ...]:
    evaluation = variant.evaluation
    return (
        variant.name,
        variant.role,
        variant.method or "-",
        _count(variant.macs),
        _count(variant.parameters),
        _mib(onnx_bytes),
        _accuracy(evaluation.natural if evaluation else None),
        _accuracy(evaluation.robust if evaluation else None),
    )


def _attack_text(attack: Attack) -> str:
    iterations = "" if attack.iterations is None else f"-{attack.iterations}"
    radius = "" if attack.eps is None else f", eps {attack.eps:g}"
    return f"{attack.name}{iterations} ({attack.norm}{radius})"


def _count(number: int | None) -> str:
    """E.g. 555 M."""
    if number is None:
        return "-"
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.3g}{unit}"
    return str(number)


def _mib(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"


def _accuracy(proportion: Proportion | None) -> str:
    """E.g. 93.9 % [92.2, 95.2]."""
    if proportion is None:
        return "-"
    text = f"{proportion.value:.1%}".replace("%", " %")
    interval = proportion.interval
    return text if interval is None else f"{text} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _plain(value: Any) -> str:
    """A JSON value in words, e.g. ``range 0, 1; resize stretch``."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {_plain(each)}" for name, each in value.items() if each is not None)
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)
