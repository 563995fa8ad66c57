"""The verification set of a bundle: inputs with labels, and the host's outputs."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np

from gdws_contract.archive import Bundle

from .npy import read_array


class Record(NamedTuple):
    """Inputs (N, ...) and the host's outputs for them, (N, ...) each, in the order of the manifest."""

    inputs: np.ndarray
    host: Tuple[np.ndarray, ...]


class VerificationSet(NamedTuple):
    """The images that every variant replays: inputs (N, ...), and labels (N,) of a classifier that has them."""

    inputs: np.ndarray
    labels: Optional[np.ndarray]


def read_verification(bundle: Bundle) -> VerificationSet:
    """Return the verification set of ``bundle``.

    Raises:
        BundleError: a member is damaged, or is not what the manifest says.
    """
    manifest = bundle.manifest
    count, labels = manifest.verification.count, manifest.verification.labels
    inputs = read_array(
        bundle.read(manifest.verification.inputs),
        field="verification.inputs",
        dtype=manifest.input.dtype,
        shape=(count, *manifest.input.shape),
    )
    if labels is None or manifest.classes is None:
        return VerificationSet(inputs, None)
    return VerificationSet(
        inputs, read_array(bundle.read(labels), field="verification.labels", dtype="int64", shape=(count,))
    )


def read_natural(bundle: Bundle, verification: VerificationSet, variant: str) -> Record:
    """Return the natural inputs, shared by all variants, with the host's outputs of ``variant``."""
    return Record(verification.inputs, _outputs(bundle, variant, "outputs"))


def read_adversarial(bundle: Bundle, variant: str) -> Optional[Record]:
    """Return the adversarial inputs made on ``variant`` with the host's outputs, or None if there are none."""
    manifest = bundle.manifest
    member = manifest.variant(variant).adversarial_inputs
    if member is None:
        return None
    inputs = read_array(
        bundle.read(member),
        field=_field(bundle, variant, "adversarial_inputs"),
        dtype=manifest.input.dtype,
        shape=(manifest.verification.count, *manifest.input.shape),
    )
    return Record(inputs, _outputs(bundle, variant, "adversarial_outputs"))


def _outputs(bundle: Bundle, variant: str, name: str) -> Tuple[np.ndarray, ...]:
    manifest = bundle.manifest
    members: Sequence[str] = getattr(manifest.variant(variant), name)
    return tuple(
        read_array(
            bundle.read(member),
            field=_field(bundle, variant, f"{name}[{index}]"),
            dtype=output.dtype,
            shape=(manifest.verification.count, *output.shape),
        )
        for index, (member, output) in enumerate(zip(members, manifest.outputs))
    )


def _field(bundle: Bundle, variant: str, name: str) -> str:
    index = [each.name for each in bundle.manifest.variants].index(variant)
    return f"variants[{index}].{name}"
