"""What a bundle records for the device to replay: inputs with their labels, and the host's logits on them."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from gdws_contract.archive import Bundle
from gdws_contract.errors import ManifestInvalid

from .npy import read_array


class Record(NamedTuple):
    """Inputs (N, ...) and the host's logits on them (N, classes)."""

    inputs: np.ndarray
    host_logits: np.ndarray


class VerificationSet(NamedTuple):
    """The images that every variant replays: inputs (N, ...) and labels (N,)."""

    inputs: np.ndarray
    labels: np.ndarray


def read_verification(bundle: Bundle) -> VerificationSet:
    """Return the verification set of ``bundle``.

    Raises:
        BundleError: a member is damaged, or is not what the manifest says.
    """
    manifest = bundle.manifest
    count = manifest.verification.count
    if manifest.classes is None or manifest.verification.labels is None:
        raise ManifestInvalid("only classifiers with labels can be replayed", field="task")
    inputs = read_array(
        bundle.read(manifest.verification.inputs),
        field="verification.inputs",
        dtype=manifest.input.dtype,
        shape=(count, *manifest.input.shape),
    )
    labels = read_array(
        bundle.read(manifest.verification.labels), field="verification.labels", dtype="int64", shape=(count,)
    )
    return VerificationSet(inputs, labels)


def read_natural(bundle: Bundle, verification: VerificationSet, variant: str) -> Record:
    """Return the natural inputs, shared by all variants, with the host's logits of ``variant``."""
    return Record(verification.inputs, _logits(bundle, variant, "outputs"))


def read_adversarial(bundle: Bundle, variant: str) -> Optional[Record]:
    """Return the adversarial inputs made on ``variant`` with the host's logits, or None if there are none."""
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
    return Record(inputs, _logits(bundle, variant, "adversarial_outputs"))


def _logits(bundle: Bundle, variant: str, name: str) -> np.ndarray:
    manifest = bundle.manifest
    return read_array(
        bundle.read(getattr(manifest.variant(variant), name)[0]),
        field=_field(bundle, variant, f"{name}[0]"),
        dtype="float32",
        shape=(manifest.verification.count, *manifest.outputs[0].shape),
    )


def _field(bundle: Bundle, variant: str, name: str) -> str:
    index = [each.name for each in bundle.manifest.variants].index(variant)
    return f"variants[{index}].{name}"
