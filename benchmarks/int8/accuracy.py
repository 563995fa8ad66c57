"""Natural accuracy, robust accuracy by gradients through the rounding and by queries to the engine, and the twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.int8 import whitebox
from benchmarks.int8.forms import Forms
from gdws.bundles.variant import BASELINE, Variant
from gdws.datasets import Split
from gdws.device.benchmark import benchmark
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.evaluation.attacks import AttackSpec
from gdws.onnx_io.int8 import QuantizedNetwork
from gdws.onnx_io.run import run
from gdws.pipeline import evaluate_one
from gdws_contract.archive import open_bundle
from gdws_contract.attacks import AttackOptions, AttackRequest
from gdws_contract.findings.accuracy import AccuracyChange, paired_change

_BATCH = 250
_QUERIES = 500


def natural(forms: Forms, variant: Variant) -> dict[str, Any]:
    """The accuracy on all test images."""
    found = evaluate_one(variant, forms.data.test, None)
    return {**found.natural.model_dump(), "right": _digits(found.right[0])}


def robust(forms: Forms, variant: Variant, images: int, is_late: Callable[[], bool]) -> dict[str, Any] | None:
    """The accuracy under the protocol of the data set, white-box; see :func:`whitebox.robust`."""
    return _whitebox(forms, variant, [forms.protocol], "pgd", images, is_late)


def autoattack(forms: Forms, variant: Variant, images: int, is_late: Callable[[], bool]) -> dict[str, Any] | None:
    """That under the protocol and then, on the images that resist it, under AutoAttack."""
    attacks = [forms.protocol, whitebox.autoattack(forms.protocol)]
    return _whitebox(forms, variant, attacks, "autoattack", images, is_late)


def square(forms: Forms, name: str, images: int, folder: Path) -> dict[str, Any]:
    """The accuracy of the engine of ONNX Runtime on this machine under Square Attack."""
    path = forms.bundle([BASELINE] if name == BASELINE else [BASELINE, name])
    with open_bundle(path) as bundle:
        model_id = bundle.id
    request = AttackRequest(
        model_id=model_id,
        variants=[name],
        backends=["onnxruntime"],
        batch_sizes=[8],
        options=AttackOptions(queries=_QUERIES, images=images),
    )
    with local_agent(folder / "agent") as url, DeviceClient(url) as device:
        result = benchmark(device, path, request)
    [cell] = result.job.cells
    if cell.attack is None:
        raise RuntimeError(f"{name} was not attacked: {cell.error}")
    right = _digits([image.is_right for image in cell.attack.images])
    return {**cell.attack.robust.model_dump(), "queries": _QUERIES, "right": right}


def agreement(variant: Variant, images: Split) -> dict[str, Any]:
    """On how many images the twin decides as the file does in ONNX Runtime, and how far their logits differ at most.

    The difference is told in parts of the largest logit.
    """
    assert isinstance(variant.module, QuantizedNetwork)
    same, difference, largest = 0, 0.0, 0.0
    for rows in torch.split(torch.arange(len(images)), _BATCH):
        batch = images.by_row[rows]
        with torch.no_grad():
            mine = variant.module(batch).numpy()
        [theirs] = run(variant.module.content, [batch.numpy()])
        same += int((mine.argmax(axis=1) == theirs.argmax(axis=1)).sum())
        difference = max(difference, float(np.abs(mine - theirs).max()))
        largest = max(largest, float(np.abs(theirs).max()))
    return {"same": same, "images": len(images), "largest_difference": difference / largest}


def changes(
    found: dict[str, dict[str, Any]], what: str, base: Callable[[str], str | None]
) -> dict[str, AccuracyChange]:
    """What each network has more than the one that ``base`` names for it, in points, on images that both were asked."""
    known = {name: [digit == "1" for digit in each[what]["right"]] for name, each in found.items() if what in each}
    return {
        name: paired_change(known[other][:count], right[:count])
        for name, right in known.items()
        if (other := base(name)) in known and other != name and (count := min(len(known[other]), len(right)))
    }


def _whitebox(
    forms: Forms,
    variant: Variant,
    attacks: list[AttackSpec],
    what: str,
    images: int,
    is_late: Callable[[], bool],
) -> dict[str, Any] | None:
    path = forms.state(f"{what}-{variant.name}.json")
    return whitebox.robust(variant.module, forms.data.test.first(images), attacks, path, is_late=is_late)


def _digits(right: Any) -> str:
    return "".join("1" if each else "0" for each in right)
