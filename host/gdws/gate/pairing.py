"""Baseline and candidate as one bundle, so that the device measures them in turns in the same job.

Its networks have the names ``candidate.NAME`` and ``baseline.NAME``; the end of a name that would be too long is
replaced by a hash. Each keeps its own outputs, adversarial inputs and evaluation. Both replay the same images, with
which both must have been packed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from gdws.errors import GdwsError
from gdws_contract.archive import Bundle, open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.base import MAX_NAME_LENGTH
from gdws_contract.manifest import MAX_VARIANTS, Manifest, Variant

SideName = Literal["baseline", "candidate"]
SAME_TASK = "a gate compares networks for one task"


@dataclass(frozen=True)
class Pairing:
    """The networks to measure by their names in their own bundles; ``paired`` are those that the baseline has too.

    ``gone`` are those of the baseline that the candidate lacks; empty if the networks were chosen by name.
    """

    candidate: Path
    baseline: Path | None
    networks: tuple[str, ...]
    paired: tuple[str, ...]
    gone: tuple[str, ...] = ()

    def members(self) -> Iterator[tuple[SideName, str]]:
        """Side and name of each network that is measured."""
        for name in self.networks:
            yield "candidate", name
        for name in self.paired:
            yield "baseline", name


def plan_pairing(candidate: Path, baseline: Path | None, networks: Sequence[str] | None) -> Pairing:
    """Which networks of ``candidate`` to measure (all if ``networks`` is None), and which paired with the baseline's.

    Raises:
        GdwsError: the candidate has no such network, or the bundles do not fit together.
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
        theirs = dict.fromkeys(variant.name for variant in reference.manifest.variants)
        gone = [name for name in theirs if name not in known] if networks is None else []
        pairing = Pairing(candidate, baseline, chosen, tuple(n for n in chosen if n in theirs), tuple(gone))
    _require_room(pairing)
    return pairing


def run_name(side: SideName, network: str) -> str:
    """The name of a network in the bundle of a run: unique, and at most 100 characters long."""
    name = f"{side}.{network}"
    if len(name) <= MAX_NAME_LENGTH:
        return name
    digest = hashlib.sha256(network.encode()).hexdigest()[:16]
    return f"{name[: MAX_NAME_LENGTH - len(digest) - 1]}-{digest}"


def write_run(pairing: Pairing, path: Path, *, baseline_first: bool) -> str:
    """Write the bundle of one run and return its id.

    The first of a pair is built and warmed up first. Each ONNX file gets a unique mark, so that a runtime that caches
    engines rebuilds them: a builder's choices differ from build to build.
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
                entry, files = _renamed(bundle, bundle.manifest.variant(name), run_name(side, name), first=not entries)
                entries.append(entry)
                members |= files
        manifest = candidate.manifest
        for member in filter(None, (manifest.verification.inputs, manifest.verification.labels)):
            members[member] = candidate.read(member)
        fields: dict[str, Any] = {
            **manifest.model_dump(exclude={"variants", "members", "baseline"}),
            "name": f"gate.{manifest.name}"[:100],
            "baseline": entries[0].name,
            "variants": entries,
        }
        return write_bundle(path, fields, members)


def _require_room(pairing: Pairing) -> None:
    count = len(pairing.networks) + len(pairing.paired)
    if count > MAX_VARIANTS:
        raise GdwsError(
            f"a run would have {count} networks, {len(pairing.paired)} of them of the baseline; "
            f"the limit is {MAX_VARIANTS}",
            hint="choose fewer with --variants, and check the others in a separate gate",
        )


def _require_fit(baseline: Bundle, candidate: Bundle, both: str) -> None:
    a, b = baseline.manifest, candidate.manifest
    if (a.input, a.outputs, a.task.kind) != (b.input, b.outputs, b.task.kind):
        raise GdwsError(f"{both} have different inputs or outputs", hint=SAME_TASK)
    for what in ("inputs", "labels"):
        members = [getattr(m.verification, what) for m in (a, b)]
        if _hash(a, members[0]) != _hash(b, members[1]):
            raise GdwsError(
                f"{both} contain different images: verification.{what} differ",
                hint="pack both with the same --data, --count and --seed, or compare with a result: gdws baseline",
            )


def _hash(manifest: Manifest, member: str | None) -> str | None:
    return None if member is None else manifest.members[member].sha256


def _renamed(bundle: Bundle, variant: Variant, name: str, *, first: bool) -> tuple[Variant, dict[str, bytes]]:
    """``variant`` as ``name``, with its members in a folder of that name."""
    moved, members = variant.relocated(f"variants/{name}")
    files = {path: bundle.read(member) for path, member in members.items()}
    files[moved.onnx] = _marked(files[moved.onnx])
    role = "baseline" if first else "converted"
    return moved.model_copy(update={"name": name, "role": role}), files


def _marked(content: bytes) -> bytes:
    """The ONNX file with a unique entry in its metadata. Raises :class:`GdwsError`."""
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf's errors have no public base
        raise GdwsError("a network of the bundle is not an ONNX file", hint="pack it again") from error
    entry = model.metadata_props.add()
    entry.key, entry.value = "gdws.gate.run", secrets.token_hex(8)
    marked: bytes = model.SerializeToString()
    return marked
