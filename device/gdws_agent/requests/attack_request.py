"""A request for attacks as the benchmark that makes them, and what an attack takes from the bundle. Pure functions."""

from __future__ import annotations

from typing import Iterable, List, Optional

from gdws_agent.errors import AttackImpossible
from gdws_contract.attacks import MAX_IMAGES, AttackNorm, AttackOptions, AttackRequest
from gdws_contract.manifest import Attack, Manifest
from gdws_contract.rest import BenchmarkRequest, Protocol
from gdws_contract.task import Classification

#: Path of a field of the benchmark -> the field of the request for attacks that it came from.
FIELDS = {"attack": "options", "protocol.threads": "threads", "protocol.parity_tolerance": "parity_tolerance"}


def as_benchmark(request: AttackRequest) -> BenchmarkRequest:
    """Return the benchmark that attacks what ``request`` names; what is left open stays open."""
    return BenchmarkRequest(
        model_id=request.model_id,
        variants=request.variants,
        backends=request.backends,
        precisions=request.precisions,
        batch_sizes=request.batch_sizes,
        engine=request.engine,
        attack=request.options,
        protocol=Protocol(threads=request.threads, parity_tolerance=request.parity_tolerance),
        label=request.label,
        priority=request.priority,
        limits=request.limits,
    )


def resolve_attack(options: AttackOptions, manifest: Manifest) -> AttackOptions:
    """Return ``options`` with norm, radius and number of images taken from ``manifest`` where they are left open.

    Raises:
        AttackImpossible: the bundle has nothing that could be attacked, or does not say what is left open.
    """
    _check_bundle(manifest)
    recorded = manifest.verification.attack
    norm = options.norm or _norm(recorded)
    count = min(manifest.verification.count, MAX_IMAGES, options.images or MAX_IMAGES)
    return options.model_copy(update={"norm": norm, "eps": options.eps or _eps(norm, recorded), "images": count})


def _check_bundle(manifest: Manifest) -> None:
    verification, pixels = manifest.verification, manifest.input
    reason: Optional[str] = None
    if not isinstance(manifest.task, Classification):
        reason = f"its task is {manifest.task.kind}, and Square Attack is for classifiers"
    elif (manifest.classes or 0) < 2:
        reason = "its networks know one class alone"
    elif verification.origin == "noise":
        reason = "its verification images are noise, on which nothing can be said of accuracy"
    elif verification.labels is None:
        reason = "its verification images have no labels"
    elif verification.origin != "labelled":
        reason = "its labels are the baseline's own answers, which say nothing of accuracy"
    elif len(pixels.shape) != 3:
        reason = f"its inputs of {len(pixels.shape)} axes are no images (C, H, W), and Square Attack is for images"
    elif pixels.dtype != "float32" or (pixels.low, pixels.high) != (0.0, 1.0):
        reason = f"its inputs are {pixels.dtype} from {pixels.low} to {pixels.high}, and not float32 pixels from 0 to 1"
    if reason is not None:
        raise AttackImpossible(
            f"the bundle cannot be attacked: {reason}",
            field="model_id",
            hint="pack a classifier with labelled images, e.g. by gdws convert --data",
        )


def _norm(recorded: Optional[Attack]) -> AttackNorm:
    """Return the norm of the bundle's adversarial inputs, if there is one alone and it is known here."""
    if recorded is not None and recorded.norm == "linf":
        return "linf"
    if recorded is not None and recorded.norm == "l2":
        return "l2"
    found = "has no adversarial inputs" if recorded is None else f"has adversarial inputs in {recorded.norm}"
    raise AttackImpossible(
        f"the norm is not known: the bundle {found}, and Square Attack knows linf and l2",
        field="attack.norm",
        hint="say norm and eps",
    )


def _eps(norm: AttackNorm, recorded: Optional[Attack]) -> float:
    """Return the radius of the bundle's adversarial inputs in ``norm``; of a union, that of its part in it."""
    for each in _parts(recorded):
        if each.norm == norm and each.eps:
            return each.eps
    raise AttackImpossible(
        f"the radius eps is not known: the bundle has no adversarial inputs in {norm}",
        field="attack.eps",
        hint="say eps, for pixels from 0 to 1",
    )


def _parts(recorded: Optional[Attack]) -> Iterable[Attack]:
    found: List[Attack] = [] if recorded is None else [recorded, *(recorded.parts or [])]
    return found
