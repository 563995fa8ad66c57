"""Baseline and candidate as one bundle, so that on the device they take turns in the same job.

The networks of the candidate are called ``candidate.NAME`` in it and those of the baseline ``baseline.NAME``. Each
keeps its own record: logits, adversarial inputs, evaluation. Both replay the same images, which must be the ones that
both were packed with.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from gdws.errors import GdwsError
from gdws_contract.archive import Bundle, open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.manifest import Variant

SideName = Literal["baseline", "candidate"]


@dataclass(frozen=True)
class Pairing:
    """The networks to measure by their names in their own bundles; ``paired`` are those that the baseline has too."""

    candidate: Path
    baseline: Path | None
    networks: tuple[str, ...]
    paired: tuple[str, ...]


def plan_pairing(candidate: Path, baseline: Path | None, networks: Sequence[str] | None) -> Pairing:
    """Which networks of ``candidate`` to measure, all if ``networks`` is None, and which beside the baseline's.

    Raises:
        GdwsError: the candidate has no such network, or the bundles do not go together.
        BundleError: a bundle cannot be used.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(open_bundle(candidate))
        known = [variant.name for variant in opened.manifest.variants]
        for name in networks or ():
            if name not in known:
                raise GdwsError(f"{candidate} has no network {name!r}", hint=f"it has {', '.join(known)}")
        chosen = tuple(known if networks is None else networks)
        if baseline is None:
            return Pairing(candidate, None, chosen, ())
        reference = stack.enter_context(open_bundle(baseline))
        _require_fit(reference, opened, f"{baseline} and {candidate}")
        theirs = {variant.name for variant in reference.manifest.variants}
        return Pairing(candidate, baseline, chosen, tuple(name for name in chosen if name in theirs))


def write_run(pairing: Pairing, path: Path, *, baseline_first: bool) -> str:
    """Write the bundle of one run and return its id.

    Which of a pair comes first is built and warmed up first. Each ONNX file gets a word that no other has, so that a
    runtime which caches engines builds them anew: what a builder chooses differs from build to build.
    """
    with ExitStack() as stack:
        candidate = stack.enter_context(open_bundle(pairing.candidate))
        baseline = None if pairing.baseline is None else stack.enter_context(open_bundle(pairing.baseline))
        entries: list[Variant] = []
        members: dict[str, bytes] = {}
        for name in pairing.networks:
            sides: list[tuple[SideName, Bundle]] = [("candidate", candidate)]
            if baseline is not None and name in pairing.paired:
                sides.insert(0 if baseline_first else 1, ("baseline", baseline))
            for side, bundle in sides:
                entry, files = _renamed(bundle, bundle.manifest.variant(name), f"{side}.{name}", first=not entries)
                entries.append(entry)
                members |= files
        manifest = candidate.manifest
        for member in (manifest.verification.inputs, manifest.verification.labels):
            members[member] = candidate.read(member)
        fields: dict[str, Any] = {
            **manifest.model_dump(exclude={"variants", "members", "baseline"}),
            "name": f"gate.{manifest.name}"[:100],
            "baseline": entries[0].name,
            "variants": entries,
        }
        return write_bundle(path, fields, members)


def _require_fit(baseline: Bundle, candidate: Bundle, both: str) -> None:
    a, b = baseline.manifest, candidate.manifest
    if (a.input, a.output) != (b.input, b.output):
        raise GdwsError(f"{both} have different inputs or outputs", hint="a gate compares networks for one task")
    for what in ("inputs", "labels"):
        members = [m.members[getattr(m.verification, what)].sha256 for m in (a, b)]
        if members[0] != members[1]:
            raise GdwsError(
                f"{both} do not hold the same images: verification.{what} differ",
                hint="pack both with the same --data, --count and --seed, or compare with a result: gdws baseline",
            )


def _renamed(bundle: Bundle, variant: Variant, name: str, *, first: bool) -> tuple[Variant, dict[str, bytes]]:
    """``variant`` as ``name``, with its members below a folder of that name."""
    moved: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for field, member in variant.members():
        moved[field] = f"variants/{name}/{member.rpartition('/')[2]}"
        content = bundle.read(member)
        files[moved[field]] = _marked(content) if field == "onnx" else content
    role = "baseline" if first else "gdws"
    return variant.model_copy(update={"name": name, "role": role, **moved}), files


def _marked(content: bytes) -> bytes:
    """An ONNX file with an entry in its metadata that no other has. Raises :class:`GdwsError`."""
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf's errors have no public base
        raise GdwsError("a network of the bundle is not an ONNX file", hint="pack it again") from error
    entry = model.metadata_props.add()
    entry.key, entry.value = "gdws.gate.run", secrets.token_hex(8)
    marked: bytes = model.SerializeToString()
    return marked
