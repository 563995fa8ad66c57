"""Robust accuracy by gradients, through the rounding of INT8; image by image in a file, from which later runs go on.

An image that resists was attacked to the end. Where the machine has bfloat16, adversarial images are made with the
logits and gradients of the network in that precision, and judged by the network itself; those that fool it in bfloat16
alone are made again in float32, so that no image counts as robust because an attack stopped too early.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.accuracy_vs_rank.accuracy import Bfloat16
from gdws._util.files import write_atomic
from gdws._util.modes import evaluation_mode
from gdws.datasets import Split
from gdws.errors import ResultError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.run import perturb
from gdws.evaluation.judging import dense_equivalent, predict
from gdws.evaluation.tally import digest_of_network
from gdws.training.precision import has_bf16
from gdws_contract.findings.intervals import proportion

_BATCH = 25
#: Iterations of APGD and FAB in AutoAttack's standard version.
_ITERATIONS = 100


def autoattack(attack: AttackSpec) -> AttackSpec:
    """AutoAttack's standard version in the ball of ``attack``."""
    return AttackSpec("autoattack", attack.norm, attack.eps, None, _ITERATIONS, seed=attack.seed)


def robust(
    network: nn.Module, images: Split, attacks: Sequence[AttackSpec], path: Path, *, is_late: Callable[[], bool]
) -> dict[str, Any] | None:
    """The share of ``images`` that ``network`` decides rightly under each of ``attacks``; ``path`` keeps the answers.

    If ``is_late`` holds after a batch, that of the images so far; None if there are none. Raises
    :class:`~gdws.errors.ResultError` if the file is of another network or of other attacks.
    """
    targets = _targets(network, images.images)
    settings = {
        "network": digest_of_network(network),
        "attacks": [attack.to_dict() for attack in attacks],
        "bfloat16": len(targets) > 1,
    }
    right = _read(path, settings)
    while len(right) < len(images) and not is_late():
        indices = torch.arange(len(right), min(len(right) + _BATCH, len(images)))
        resist = resisting(network, targets, images.images[indices], images.labels[indices], attacks, indices)
        right += "".join("1" if each else "0" for each in resist.tolist())
        write_atomic(path, json.dumps({**settings, "right": right}).encode())
    right = right[: len(images)]
    if not right:
        return None
    attack = ", then ".join(map(str, attacks))
    return {**proportion(right.count("1"), len(right)).model_dump(), "attack": attack, "right": right}


def resisting(
    network: nn.Module,
    targets: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    attacks: Sequence[AttackSpec],
    indices: Tensor,
) -> Tensor:
    """Which images (N,) the network decides rightly: as they are, and under each of ``attacks``.

    Adversarial images are made on the first of ``targets``; those that fool this target and not the network, on the
    next one. ``indices`` (N,) are the images' positions in their data set.
    """
    with evaluation_mode(network):
        right = predict(network, x, y) == y
        for attack in attacks:
            left = right.nonzero().flatten()
            for target in targets:
                if len(left) == 0:
                    break
                with evaluation_mode(target):
                    found = perturb(target, x[left], y[left], attack, indices=indices[left])
                    claimed = predict(target, found, y[left]) != y[left]
                fooled = predict(network, found, y[left]) != y[left]
                right[left[fooled]] = False
                left = left[claimed & ~fooled]
    return right


def _targets(network: nn.Module, images: Tensor) -> list[nn.Module]:
    """What adversarial images are made on, one after the other: networks of the function of ``network``, all dense."""
    exact = dense_equivalent(network, images)
    return [Bfloat16(network, images), exact] if has_bf16(torch.device("cpu")) else [exact]


def _read(path: Path, settings: dict[str, Any]) -> str:
    if not path.exists():
        return ""
    stored = json.loads(path.read_bytes())
    right = stored.pop("right")
    if stored != json.loads(json.dumps(settings)):
        raise ResultError(f"{path} is of another network or of other attacks", hint="delete it, or use another --state")
    return str(right)
