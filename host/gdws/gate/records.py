"""Facts on networks that bundles contain: sizes, and which images each network classifies correctly."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt

from gdws.gate.facts import Flips, NetworkFacts
from gdws.gate.metric_drops import Evaluations
from gdws.gate.pairing import Pairing
from gdws_contract.archive import Bundle, open_bundle
from gdws_contract.manifest import Variant

_Correct = npt.NDArray[np.bool_]


def network_facts(pairing: Pairing) -> dict[str, NetworkFacts]:
    """The facts on each network to be measured, from the host's records in the bundles."""
    with ExitStack() as stack:
        candidate = stack.enter_context(open_bundle(pairing.candidate))
        baseline = None if pairing.baseline is None else stack.enter_context(open_bundle(pairing.baseline))
        return {name: _facts(candidate, baseline, name, is_paired=name in pairing.paired) for name in pairing.networks}


def _facts(candidate: Bundle, baseline: Bundle | None, name: str, *, is_paired: bool) -> NetworkFacts:
    own = candidate.manifest.variant(name)
    size = candidate.manifest.members[own.onnx].size
    if baseline is None:
        return NetworkFacts(size, untrusted=untrusted(own), evaluations=_within(candidate, own))
    if not is_paired:
        return NetworkFacts(size, untrusted=untrusted(own), evaluations=Evaluations(own.evaluation))
    theirs = baseline.manifest.variant(name)
    return NetworkFacts(
        size_bytes=size,
        baseline_size_bytes=baseline.manifest.members[theirs.onnx].size,
        natural=_flips(_correct(baseline, theirs.outputs), _correct(candidate, own.outputs)),
        robust=_robust_flips(baseline, theirs, candidate, own),
        untrusted=untrusted(own) or untrusted(theirs),
        evaluations=Evaluations(own.evaluation, theirs.evaluation),
    )


def _within(bundle: Bundle, own: Variant) -> Evaluations:
    """What the host found for ``own``, and for the network of the same bundle that the others are compared with."""
    manifest = bundle.manifest
    return Evaluations(own.evaluation, manifest.variant(manifest.baseline).evaluation, manifest.baseline)


def untrusted(variant: Variant) -> str | None:
    """Why the robust accuracy of ``variant`` cannot support a verdict, as a clause; None if it can, or unknown."""
    check = None if variant.evaluation is None else variant.evaluation.attack_check
    if check is None or check.trusted:
        return None
    reason = check.doubts()[0].rstrip(".")
    return f"the attack on {variant.name} cannot be trusted ({reason[:1].lower()}{reason[1:]})"


def _robust_flips(baseline: Bundle, theirs: Variant, candidate: Bundle, own: Variant) -> Flips | None:
    """Flips over the images; each network has its own adversarial inputs, made from the same images."""
    return _flips(_correct(baseline, theirs.adversarial_outputs), _correct(candidate, own.adversarial_outputs))


def _flips(before: _Correct | None, after: _Correct | None) -> Flips | None:
    if before is None or after is None or len(before) != len(after):
        return None
    return Flips(lost=int(np.sum(before & ~after)), gained=int(np.sum(~before & after)))


def _correct(bundle: Bundle, outputs: Sequence[str]) -> _Correct | None:
    """Which images the recorded ``outputs`` classify correctly; None if unknown."""
    manifest = bundle.manifest
    if manifest.classes is None or manifest.verification.labels is None or not outputs:
        return None
    labels = _load(bundle, manifest.verification.labels)
    scores = _load(bundle, outputs[0])
    correct: _Correct = scores.argmax(axis=1)[: len(labels)] == labels[: len(scores)]
    return correct


def _load(bundle: Bundle, member: str) -> npt.NDArray[np.generic]:
    array: npt.NDArray[np.generic] = np.load(io.BytesIO(bundle.read(member)), allow_pickle=False)
    return array
