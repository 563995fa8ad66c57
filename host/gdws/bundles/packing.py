"""Packs a network and its variants into a bundle.

Layout of the archive::

    manifest.json
    verification/inputs.npy                  images (N, C, H, W) float32
    verification/labels.npy                  (N,) int64, of classifiers
    variants/<name>/model.onnx
    variants/<name>/plan.json                GDWS variants
    variants/<name>/outputs.0.npy            what torch computes for the inputs, one for each output, (N, ...)
    variants/<name>/adversarial_inputs.npy   white-box on this variant, of the inputs' shape
    variants/<name>/adversarial_outputs.0.npy
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import gdws
import gdws_contract.steps
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import BASELINE, GdwsStep, Step, Variant
from gdws.compression import surgery
from gdws.compression.layers import to_dense
from gdws.datasets import check_images, check_pixels
from gdws.errors import DataError, ExportError, GdwsError
from gdws.evaluation.attacks import Spec
from gdws.evaluation.evaluate import Evaluation
from gdws.evaluation.judging import strongest
from gdws.onnx_io.export import export, float32_copy, outputs
from gdws.onnx_io.tracing import INPUT_NAME, OPSET
from gdws_contract.archive_writer import write_bundle
from gdws_contract.base import NAME_PATTERN
from gdws_contract.costs import dense_weights
from gdws_contract.errors import ManifestInvalid
from gdws_contract.manifest import NATURAL_ACCURACY, ROBUST_ACCURACY, Attack, HostEvaluation, Origin
from gdws_contract.measures import Metric
from gdws_contract.optimisation import Optimisation
from gdws_contract.plan import LayerPlan
from gdws_contract.steps import LayerSummary
from gdws_contract.steps import Step as ManifestStep
from gdws_contract.task import Classification, Task

_BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class VerificationSet:
    """Images (N, C, H, W) in [0, 1], or signals (N, C, L), that each device replays before it times a variant.

    ``labels`` (N,) are classes, None where there are none. ``data`` says where they come from, ``origin`` what that is
    worth. ``attack`` makes the adversarial inputs; None leaves them out.
    """

    images: torch.Tensor
    labels: torch.Tensor | None
    data: str
    attack: Spec | None = None
    origin: Origin = "labelled"


def pack(
    path: str | os.PathLike[str],
    *,
    name: str,
    variants: Sequence[Variant],
    verification: VerificationSet,
    baseline: str = BASELINE,
    task: Task | None = None,
    description: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    threads: int | None = None,
    optimisation: Optimisation | None = None,
    progress: Progress = SILENT,
) -> str:
    """Write a bundle to ``path`` and return its id.

    The others are compared with the variant called ``baseline``. Each variant is exported to ONNX; its outputs are
    those of the torch module in float32, on the CPU. ``task`` says what they mean, by default classification.
    Adversarial inputs are made on the device where the weights are. ``provenance`` holds JSON values that tell where
    the networks come from, e.g. the checkpoint's SHA-256; the version of torch is added. The same arguments give the
    same id. ``threads`` is how many on a CPU its networks were planned for: a device takes as many unless told not to.
    ``optimisation`` is the search that planned them.

    Raises:
        ExportError: a variant cannot be exported, its outputs are not finite, or the variants' outputs differ.
        DataError: the images are not in [0, 1], or a label is out of range.
        GdwsError: no variant is called ``baseline``.
        ManifestInvalid, BundleTooLarge: names or sizes that a reader would refuse.
        OSError: the file cannot be written.
    """
    _check_names(name, variants)
    if baseline not in {variant.name for variant in variants}:
        raise GdwsError(
            f"there is no variant {baseline!r} to be the baseline",
            hint=f"name one of: {', '.join(variant.name for variant in variants) or 'none'}",
        )
    verification = _prepared(verification)
    images, labels = verification.images, verification.labels
    members = {"verification/inputs.npy": _npy(images)}
    if labels is not None:
        members["verification/labels.npy"] = _npy(labels)
    attacked = 0 if verification.attack is None else len(images)
    progress.start(len(variants) * (1 + attacked), f"pack {name}")
    packed = {variant.name: _pack_variant(variant, verification, progress) for variant in variants}
    given = packed[baseline].outputs
    for variant_name, each in packed.items():
        members |= each.files
        if each.outputs != given:
            raise ExportError(f"{variant_name} gives {each.outputs}, and {baseline} gives {given}")
    manifest = {
        "tool": {"name": "gdws", "version": gdws.__version__},
        "name": name,
        "description": description,
        "task": Classification() if task is None else task,
        "input": {"name": INPUT_NAME, "shape": list(images.shape[1:]), **_range(images)},
        "outputs": given,
        "baseline": baseline,
        "variants": [
            {**each.entry, "role": "baseline" if variant_name == baseline else "converted"}
            for variant_name, each in packed.items()
        ],
        "verification": {
            "inputs": "verification/inputs.npy",
            "labels": None if labels is None else "verification/labels.npy",
            "count": len(images),
            "data": verification.data,
            "origin": verification.origin,
            "attack": _attack(verification.attack),
        },
        "provenance": {"torch": torch.__version__, **(provenance or {})},
        "threads": threads,
        "optimisation": optimisation,
    }
    return write_bundle(path, manifest, members)


def host_evaluation(evaluation: Evaluation, data: str) -> HostEvaluation:
    """Return the result of :func:`gdws.evaluation.evaluate.evaluate` in the form of the manifest.

    ``data`` names the images.
    """
    metrics: dict[str, Metric] = {NATURAL_ACCURACY: evaluation.natural}
    if evaluation.robust is not None:
        metrics[ROBUST_ACCURACY] = evaluation.robust
    return HostEvaluation(
        data=data,
        origin=evaluation.origin,
        metrics=metrics,
        classes_answered=evaluation.classes_answered,
        attack=_attack(evaluation.attack),
        attack_check=evaluation.attack_check,
    )


def _range(images: torch.Tensor) -> dict[str, float | None]:
    """The legal values of pixels; those of signals (N, C, L) are not known."""
    return {"low": 0.0, "high": 1.0} if images.ndim == 4 else {"low": None, "high": None}


def _check_names(name: str, variants: Sequence[Variant]) -> None:
    """Check names before hours of work, as the manifest would afterwards."""
    fields = {"name": name} | {f"variants[{index}].name": variant.name for index, variant in enumerate(variants)}
    for field, text in fields.items():
        if not re.fullmatch(NAME_PATTERN, text):
            raise ManifestInvalid(
                f"{text!r} is not a valid name", field=field, hint="use letters, digits, '.', '_' and '-'"
            )
    if len({variant.name for variant in variants}) < len(variants):
        raise ManifestInvalid("variant names must differ", field="variants")


def _prepared(verification: VerificationSet) -> VerificationSet:
    """The same on the CPU, with the stored types, after a check of the ranges."""
    images, labels = verification.images, verification.labels
    if labels is None:
        check_pixels(images)
        if verification.attack is not None:
            raise DataError("images to attack have no labels", hint="provide labels, or leave out the attack")
    else:
        check_images(images, labels)
        labels = labels.detach().to("cpu", torch.int64)
    return replace(verification, images=images.detach().to("cpu", torch.float32), labels=labels)


class _Packed(NamedTuple):
    """One variant: its entry in the manifest, its members, and its outputs."""

    entry: dict[str, Any]
    files: dict[str, bytes]
    outputs: list[dict[str, Any]]


def _pack_variant(variant: Variant, verification: VerificationSet, progress: Progress) -> _Packed:
    images, labels = verification.images, verification.labels
    network = float32_copy(variant.module).cpu()
    input_shape = tuple(images.shape[1:])
    folder = f"variants/{variant.name}"
    files = {f"{folder}/model.onnx": export(network, input_shape)}
    found = _outputs(network, images, variant.name)
    if labels is not None:
        _check_labels(labels, next(iter(found.values())), variant.name)
    expected = _members(f"{folder}/outputs", found)
    progress.advance(1, variant=variant.name)
    adversarial_files: dict[str, bytes] = {}
    if verification.attack is not None and labels is not None:
        # The equivalent dense network has the same gradients, many times faster.
        attacked = to_dense(float32_copy(variant.module))
        adversarial = _attack_all(attacked, images, labels, verification.attack, progress)
        files[f"{folder}/adversarial_inputs.npy"] = _npy(adversarial)
        adversarial_files = _members(f"{folder}/adversarial_outputs", _outputs(network, adversarial, variant.name))
    if variant.plan is not None:
        files[f"{folder}/plan.json"] = variant.plan.to_json().encode()
    paths = {path.rpartition("/")[2].partition(".")[0]: path for path in files}
    entry = {
        "name": variant.name,
        "onnx": paths["model"],
        "opset": OPSET,
        "macs": _macs(network, input_shape),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "method": variant.method,
        "steps": [_in_manifest(step, paths.get("plan")) for step in variant.steps],
        "evaluation": variant.evaluation,
        "outputs": list(expected),
        "adversarial_inputs": paths.get("adversarial_inputs"),
        "adversarial_outputs": list(adversarial_files),
    }
    return _Packed(entry, files | expected | adversarial_files, [_spec(*output) for output in found.items()])


def _outputs(network: nn.Module, images: torch.Tensor, name: str) -> dict[str, torch.Tensor]:
    """The outputs of the variant ``name`` for ``images`` (N, C, H, W), by name."""
    try:
        found = [outputs(network, batch) for batch in torch.split(images, _BATCH_SIZE)]
    except ExportError as error:
        raise ExportError(f"{name!r}: {error.message}", hint=error.hint) from error
    return {name: torch.cat([batch[name] for batch in found]) for name in found[0]}


def _check_labels(labels: torch.Tensor, logits: torch.Tensor, name: str) -> None:
    lowest, highest, classes = int(labels.min()), int(labels.max()), logits.shape[1]
    if not 0 <= lowest <= highest < classes:
        raise DataError(f"labels go from {lowest} to {highest}, but {name!r} has {classes} classes")


def _members(stem: str, found: Mapping[str, torch.Tensor]) -> dict[str, bytes]:
    """One member for each output, in order."""
    return {f"{stem}.{place}.npy": _npy(tensor) for place, tensor in enumerate(found.values())}


def _spec(name: str, found: torch.Tensor) -> dict[str, Any]:
    """The specification of an output in the manifest."""
    return {"name": name, "dtype": str(found.dtype).removeprefix("torch."), "shape": list(found.shape[1:])}


def _attack_all(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, attack: Spec, progress: Progress
) -> torch.Tensor:
    """Return adversarial images (N, C, H, W) on the CPU, made with another loss if the attack itself fails."""
    parameter = next(network.parameters(), images)
    found = []
    for indices in torch.split(torch.arange(len(images)), _BATCH_SIZE):
        batch, targets = images[indices].to(parameter.device), labels[indices].to(parameter.device)
        found.append(strongest(network, batch, targets, attack, indices=indices).cpu())
        progress.advance(len(indices), attack=str(attack))
    return torch.cat(found)


def _macs(network: nn.Module, input_shape: Sequence[int]) -> int:
    """MACs of one image in convolutions and linear layers, including those inside of GDWS layers."""
    layers = surgery.inspect(network, input_shape, convert_first=True)
    return sum(
        height * width * dense_weights(layer.weight_shape) for layer in layers for height, width in layer.grids or ()
    )


def _in_manifest(step: Step, plan: str | None) -> ManifestStep:
    """``step`` in the form of the manifest; ``plan`` is the member with its plan."""
    if not isinstance(step, GdwsStep):
        return step
    layers = [_summary(layer) for layer in step.plan.layers]
    return gdws_contract.steps.GdwsStep(plan=plan, method=step.plan.method, layers=layers)


def _summary(layer: LayerPlan) -> LayerSummary:
    return LayerSummary(
        name=layer.name,
        converted=layer.converted,
        reason=layer.left_alone,
        shape=list(layer.weight_shape),
        layout=layer.layout,
        total_rank=layer.components,
        mean_rank=layer.mean_rank,
        macs_before=layer.macs_dense,
        macs_after=layer.macs_gdws,
        parameters_before=layer.parameters_dense,
        parameters_after=layer.parameters_gdws,
        error=layer.e2,
    )


def _attack(spec: Spec | None) -> Attack | None:
    return None if spec is None else Attack(**spec.to_dict())


def _npy(array: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array.contiguous().numpy(), allow_pickle=False)
    return buffer.getvalue()
