"""Parity: whether the engine's outputs on this device match the host's.

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
from gdws_contract.manifest import OutputSpec
from gdws_contract.measures import Flag, OutputParity, Parity, Proportion
from gdws_contract.task import Classification, Detection, Segmentation, Task

from .verification import Record

#: Precision -> by how much an accuracy on the device may differ from the host's, as a share of the images; and how
#: many elements of an integer output may. Adversarial inputs lie close to the decision boundary, so single ones may
#: tip over; one always may.
ACCURACY_TOLERANCE = {"fp32": 0.01, "tf32": 0.01, "fp16": 0.02, "int8": 0.05}

#: Precision -> the relative tolerance that its rounding takes through some twenty layers. A request may allow more.
LEAST_TOLERANCE = {"fp32": 0.0, "tf32": 0.005, "fp16": 0.02, "int8": 0.1}

#: Precision -> differences up to this pass whatever the size of the output: numbers near one are rounded on the way,
#: and where an output is nearly zero, as a detector's sigmoid on an image without objects, little else is left of it.
TOLERANCE_ABS = {"fp32": 1e-6, "tf32": 1e-5, "fp16": 1e-4, "int8": 1e-3}


#: In place of the class of a box whose scores are too low.
_NO_OBJECT = -2


class Replayed(NamedTuple):
    """Outputs (N, ...) for the same inputs, on the device and on the host. Those of the host are finite."""

    device: Tuple[np.ndarray, ...]
    host: Tuple[np.ndarray, ...]


class Expected(NamedTuple):
    """The bundle's specification of outputs. ``labels`` (N,) are a classifier's; None if there are none."""

    task: Task
    outputs: Sequence[OutputSpec]
    labels: Optional[np.ndarray]


class Rule(NamedTuple):
    """What passes: the difference of a floating-point output, relative to its largest |host value| or absolute, and
    the change in accuracy."""

    tolerance_rel: float
    tolerance_abs: float
    tolerance_accuracy: float

    @classmethod
    def of(cls, precision: str, tolerance_rel: float) -> Rule:
        """Return the rule for ``precision`` where a request asks for ``tolerance_rel``."""
        relative = max(tolerance_rel, LEAST_TOLERANCE[precision])
        return cls(relative, TOLERANCE_ABS[precision], ACCURACY_TOLERANCE[precision])


def compare(expected: Expected, natural: Replayed, adversarial: Optional[Replayed], rule: Rule) -> Parity:
    """Return the parity of the device's outputs with the host's.

    Outputs are compared over natural and adversarial inputs together. An accuracy above the host's by more than
    the rule allows fails too: it is not the same network.
    """
    sets = [natural] if adversarial is None else [natural, adversarial]
    outputs = [
        _compare_output(output.name, [(each.device[index], each.host[index]) for each in sets], rule)
        for index, output in enumerate(expected.outputs)
    ]
    floating = [found for found in outputs if found.agreement is None]
    parity = Parity(
        passed=False,
        count=len(natural.host[0]),
        max_abs_diff=_largest([found.max_abs_diff for found in floating]),
        max_rel_diff=_largest([found.max_rel_diff for found in floating]),
        tolerance_rel=rule.tolerance_rel,
        outputs=outputs,
        agreement=_agreement(expected.task, natural),
        natural=_accuracy(expected, natural.device),
        natural_host=_accuracy(expected, natural.host),
        robust=None if adversarial is None else _accuracy(expected, adversarial.device),
        robust_host=None if adversarial is None else _accuracy(expected, adversarial.host),
    )
    reasons = [*_output_reasons(parity, sets, rule), *_accuracy_reasons(parity, rule)]
    return parity.model_copy(update={"passed": not reasons, "reasons": reasons})


def doubts(parity: Parity) -> List[Flag]:
    """Return a flag for each floating-point output that is so small that zeros would have passed as well."""
    return [
        Flag(
            code="near-zero-output",
            detail=f"{output.name} is {output.scale:.1e} at most on the recorded inputs, and differences up to "
            f"{output.tolerance_abs:g} pass: pack inputs on which it is larger to see more",
        )
        for output in parity.outputs
        if output.passed and output.agreement is None and output.scale <= output.tolerance_abs
    ]


def replay(
    engine: Engine, record: Record, batch_size: int, on_batch: Optional[Callable[[int], None]] = None
) -> Replayed:
    """Run ``engine`` over the recorded inputs; ``on_batch`` is told how many of them are done.

    Raises:
        RunFailed: the engine fails, or its outputs are not of the record's shapes and types. OutOfMemory.
    """
    device = tuple(np.empty_like(host) for host in record.host)
    for start in range(0, len(record.inputs), batch_size):
        outputs = engine.bind(make_batch(record.inputs, batch_size, start))()
        _check(outputs, device, batch_size)
        for rows, found in zip(device, outputs):
            part = rows[start : start + batch_size]
            part[...] = found[: len(part)]
        if on_batch is not None:
            on_batch(min(start + batch_size, len(record.inputs)))
    return Replayed(device, record.host)


def make_batch(inputs: np.ndarray, size: int, start: int = 0) -> np.ndarray:
    """Return ``size`` of the inputs (N, ...) from ``start`` on, in C order, going round as often as needed."""
    return inputs[np.arange(start, start + size) % len(inputs)]


def _check(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray], batch_size: int) -> None:
    """Raise RunFailed unless ``outputs`` are a batch of ``expected``; a runtime may use another width of a type."""
    found = [(each.shape, each.dtype) for each in outputs]
    stated = [((batch_size, *each.shape[1:]), each.dtype) for each in expected]
    fits = len(found) == len(stated) and all(
        shape == right and np.can_cast(dtype, kind, "same_kind") for (shape, dtype), (right, kind) in zip(found, stated)
    )
    if not fits:
        raise RunFailed(
            f"the outputs are {_in_words(found)}, not {_in_words(stated)}",
            hint="the manifest says what the network gives: pack the bundle again",
        )


def _in_words(tensors: Sequence[Tuple[Tuple[int, ...], np.dtype]]) -> str:
    return ", ".join(f"{dtype} {shape}" for shape, dtype in tensors)


def _compare_output(name: str, pairs: Sequence[Tuple[np.ndarray, np.ndarray]], rule: Rule) -> OutputParity:
    scale = max(_max_abs(host) for _, host in pairs)
    difference = max(_max_abs(device.astype(np.float64) - host.astype(np.float64)) for device, host in pairs)
    agreement = None if _is_float(pairs[0][1]) else _share(np.concatenate([(d == h).ravel() for d, h in pairs]))
    if agreement is None:
        passed = difference <= max(rule.tolerance_abs, rule.tolerance_rel * scale)
    else:
        passed = agreement.count - agreement.successes <= max(1.0, rule.tolerance_accuracy * agreement.count)
    known = math.isfinite(difference)
    return OutputParity(
        name=name,
        passed=passed,
        scale=scale,
        max_abs_diff=difference if known else None,
        max_rel_diff=_relative(difference, scale) if known else None,
        tolerance_abs=rule.tolerance_abs,
        agreement=agreement,
    )


def _relative(difference: float, scale: float) -> Optional[float]:
    if scale == 0:
        return 0.0 if difference == 0 else None
    return difference / scale


def _largest(differences: Sequence[Optional[float]]) -> Optional[float]:
    """Return the largest; None where there is none, or one is not known."""
    known = [each for each in differences if each is not None]
    return max(known) if known and len(known) == len(differences) else None


def _max_abs(values: np.ndarray) -> float:
    """Return the largest |value|; infinity if one is NaN."""
    if _is_float(values) and np.isnan(values).any():
        return math.inf
    return float(np.abs(values.astype(np.float64)).max())


def _is_float(values: np.ndarray) -> bool:
    return bool(np.issubdtype(values.dtype, np.floating))


def _decisions(task: Task, outputs: Sequence[np.ndarray]) -> Optional[np.ndarray]:
    """Return the class of each input (N,), of each pixel (N, H, W), or of each box (N, A); None where there are none.

    It is -1, which is no class, where a score is not finite, and :data:`_NO_OBJECT` where a box has too low a score.
    """
    if isinstance(task, Detection):
        scores = _box_scores(task, outputs)
        if scores is None:
            return None
        classes = np.where(scores.max(axis=2) >= task.score_threshold, scores.argmax(axis=2), _NO_OBJECT)
        return np.where(np.isfinite(scores).all(axis=2), classes, -1)
    if not isinstance(task, (Classification, Segmentation)):
        return None
    scores = outputs[0]
    if not _is_float(scores):
        return scores
    return np.where(np.isfinite(scores).all(axis=1), scores.argmax(axis=1), -1)


def _box_scores(task: Detection, outputs: Sequence[np.ndarray]) -> Optional[np.ndarray]:
    """Return the class scores (N, A, K) of the boxes, before any is suppressed; None if outputs are not of the layout.

    The layouts are those of gdws.evaluation.tasks.detection.heads.
    """
    rows = outputs[1] if task.layout == "boxes-scores" and len(outputs) > 1 else outputs[0]
    if rows.ndim != 3 or not _is_float(rows):
        return None
    if task.layout == "yolov8":
        scores = rows.transpose(0, 2, 1)[..., 4:]
    else:
        scores = rows if task.layout == "boxes-scores" else rows[..., 4:5] * rows[..., 5:]
    return scores if scores.size else None


def _agreement(task: Task, replayed: Replayed) -> Optional[Proportion]:
    """Return the share of decisions that are the same; of boxes, of those that are an object on either side."""
    device, host = _decisions(task, replayed.device), _decisions(task, replayed.host)
    if device is None or host is None:
        return None
    counts = (device != _NO_OBJECT) | (host != _NO_OBJECT)
    return _share((device == host)[counts]) if counts.any() else None


def right_answers(expected: Expected, outputs: Sequence[np.ndarray]) -> Optional[np.ndarray]:
    """Return whether each decision is the label's; None where there are no labels, or no decisions."""
    classes = None if expected.labels is None else _decisions(expected.task, outputs)
    return None if classes is None else classes == expected.labels


def _accuracy(expected: Expected, outputs: Sequence[np.ndarray]) -> Optional[Proportion]:
    right = right_answers(expected, outputs)
    return None if right is None else _share(right)


def _share(hits: np.ndarray) -> Proportion:
    return proportion(int(hits.sum()), hits.size)


def _output_reasons(parity: Parity, sets: Sequence[Replayed], rule: Rule) -> List[str]:
    reasons = []
    for index, output in enumerate(parity.outputs):
        if output.passed:
            continue
        if output.agreement is not None:
            wrong = output.agreement.count - output.agreement.successes
            reasons.append(
                f"{output.name} differs in {wrong} of {output.agreement.count} elements; {rule.tolerance_accuracy:.1%} "
                "of them, or one, is allowed"
            )
        elif output.max_abs_diff is None:
            bad = sum(_bad_rows(each.device[index]) for each in sets)
            reasons.append(f"{output.name} is NaN or infinite for {bad} inputs")
        elif output.max_rel_diff is None:
            reasons.append(f"{output.name} is all zero on the host, and up to {output.max_abs_diff:.2e} on the device")
        else:
            reasons.append(
                f"{output.name} differs by up to {output.max_rel_diff:.2e} of the host's largest value; "
                f"{rule.tolerance_rel:.2e} is allowed"
            )
    return reasons


def _bad_rows(values: np.ndarray) -> int:
    return int((~np.isfinite(values.reshape(len(values), -1)).all(axis=1)).sum())


def _accuracy_reasons(parity: Parity, rule: Rule) -> List[str]:
    return [
        f"{name} is {device.successes} of {device.count} on the device, {host.successes} on the host; "
        f"a change by {rule.tolerance_accuracy:.1%} of the images, or by one, is allowed"
        for name, device, host in (
            ("natural accuracy", parity.natural, parity.natural_host),
            ("accuracy on the adversarial inputs", parity.robust, parity.robust_host),
        )
        if device is not None and host is not None and _too_far(device, host, rule)
    ]


def _too_far(device: Proportion, host: Proportion, rule: Rule) -> bool:
    return abs(device.successes - host.successes) > max(1.0, rule.tolerance_accuracy * host.count)
