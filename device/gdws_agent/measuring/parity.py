"""Does the engine compute on this device what the network computed on the host?

The comparison is pure; :func:`replay` runs an engine over recorded inputs, in batches of the size that it was
built for, through the same steps that are timed later.
"""

from __future__ import annotations

import math
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from gdws_agent.backends.base import Engine
from gdws_agent.errors import RunFailed
from gdws_contract.findings.intervals import proportion
from gdws_contract.measures import Parity, Proportion

from .verification import Record

#: Precision -> by how much an accuracy on the device may differ from the host's, as a share of the images.
#: Adversarial inputs lie close to the decision boundary, so single ones may tip over; one always may.
ACCURACY_TOLERANCE = {"fp32": 0.01, "tf32": 0.01, "fp16": 0.02, "int8": 0.05}

#: Precision -> the logit tolerance that its rounding takes through some twenty layers. A request may allow more.
LEAST_LOGIT_TOLERANCE = {"fp32": 0.0, "tf32": 0.005, "fp16": 0.02, "int8": 0.1}


class Logits(NamedTuple):
    """Logits (N, classes) of the same inputs, on the device and on the host. The host's are finite."""

    device: np.ndarray
    host: np.ndarray


class Rule(NamedTuple):
    """What passes: the largest logit difference over the largest |host logit|, and the change in accuracy."""

    tolerance_rel: float
    tolerance_accuracy: float

    @classmethod
    def of(cls, precision: str, tolerance_rel: float) -> Rule:
        """Return the rule for ``precision`` where a request asks for ``tolerance_rel``."""
        return cls(max(tolerance_rel, LEAST_LOGIT_TOLERANCE[precision]), ACCURACY_TOLERANCE[precision])


def compare(labels: np.ndarray, natural: Logits, adversarial: Optional[Logits], rule: Rule) -> Parity:
    """Return how the device's logits agree with the host's; ``labels`` (N,) are those of both sets of inputs.

    Logits are compared over natural and adversarial inputs together. An accuracy above the host's by more than
    the rule allows fails too: it is not the same network.
    """
    sets = [natural] if adversarial is None else [natural, adversarial]
    max_abs, max_rel = _difference(sets)
    parity = Parity(
        passed=False,
        count=len(labels),
        max_abs_diff=max_abs,
        max_rel_diff=max_rel,
        tolerance_rel=rule.tolerance_rel,
        agreement=_agreement(natural),
        natural=_accuracy(natural.device, labels),
        natural_host=_accuracy(natural.host, labels),
        robust=None if adversarial is None else _accuracy(adversarial.device, labels),
        robust_host=None if adversarial is None else _accuracy(adversarial.host, labels),
    )
    reasons = _reasons(parity, sum(_bad_rows(each.device) for each in sets), rule)
    return parity.model_copy(update={"passed": not reasons, "reasons": reasons})


def replay(engine: Engine, record: Record, batch_size: int, on_batch: Optional[Callable[[int], None]] = None) -> Logits:
    """Run ``engine`` over the recorded inputs; ``on_batch`` is told how many of them are done.

    Raises:
        RunFailed: the engine fails, or its outputs are not of the record's shape. OutOfMemory.
    """
    device = np.empty_like(record.host_logits)
    for start in range(0, len(device), batch_size):
        outputs = engine.bind(make_batch(record.inputs, batch_size, start))()
        if outputs.shape != (batch_size, *device.shape[1:]):
            raise RunFailed(
                f"the outputs have the shape {outputs.shape}, not {(batch_size, *device.shape[1:])}",
                hint="the manifest says what the network gives: pack the bundle again",
            )
        rows = device[start : start + batch_size]
        rows[:] = outputs[: len(rows)]
        if on_batch is not None:
            on_batch(start + len(rows))
    return Logits(device, record.host_logits)


def make_batch(inputs: np.ndarray, size: int, start: int = 0) -> np.ndarray:
    """Return ``size`` of the inputs (N, ...) from ``start`` on, in C order, going round as often as needed."""
    return inputs[np.arange(start, start + size) % len(inputs)]


def _difference(sets: Sequence[Logits]) -> Tuple[Optional[float], Optional[float]]:
    """Return the largest difference, and that over the largest |host logit|; None where there is no number."""
    scale = max(float(np.abs(each.host).max()) for each in sets)
    difference = max(_max_abs(each.device.astype(np.float64) - each.host) for each in sets)
    if not math.isfinite(difference):
        return None, None
    if scale == 0:
        return difference, 0.0 if difference == 0 else None
    return difference, difference / scale


def _max_abs(values: np.ndarray) -> float:
    """Return the largest |value|; infinity if one is NaN."""
    return math.inf if np.isnan(values).any() else float(np.abs(values).max())


def _classes(logits: np.ndarray) -> np.ndarray:
    """Return the predicted class of each row (N,); -1, which is no class, where a logit is not finite."""
    return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


def _agreement(logits: Logits) -> Proportion:
    return _share(_classes(logits.device) == _classes(logits.host))


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> Proportion:
    return _share(_classes(logits) == labels)


def _share(hits: np.ndarray) -> Proportion:
    return proportion(int(hits.sum()), len(hits))


def _bad_rows(logits: np.ndarray) -> int:
    return int((~np.isfinite(logits).all(axis=1)).sum())


def _reasons(parity: Parity, bad_rows: int, rule: Rule) -> List[str]:
    reasons = []
    if bad_rows:
        reasons.append(f"the outputs for {bad_rows} inputs are NaN or infinite")
    elif parity.max_rel_diff is None:
        reasons.append("the host's logits are all zero, the device's are not")
    elif parity.max_rel_diff > rule.tolerance_rel:
        reasons.append(
            f"logits differ by up to {parity.max_rel_diff:.2e} of the largest host logit; "
            f"{rule.tolerance_rel:.2e} is allowed"
        )
    for name, device, host in (
        ("natural accuracy", parity.natural, parity.natural_host),
        ("accuracy on the adversarial inputs", parity.robust, parity.robust_host),
    ):
        if device is not None and host is not None and _too_far(device, host, rule):
            reasons.append(
                f"{name} is {device.successes} of {device.count} on the device, {host.successes} on the host; "
                f"a change by {rule.tolerance_accuracy:.1%} of the images, or by one, is allowed"
            )
    return reasons


def _too_far(device: Proportion, host: Proportion, rule: Rule) -> bool:
    return abs(device.successes - host.successes) > max(1.0, rule.tolerance_accuracy * host.count)
