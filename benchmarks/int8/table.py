"""The results as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.int8.accuracy import changes
from benchmarks.int8.forms import FORMS
from benchmarks.int8.targets import sentences
from gdws.bundles.variant import BASELINE
from gdws_contract.findings.accuracy import AccuracyChange

_HEAD = """# INT8 and GDWS together

Each network dense and by GDWS, fitted at mean rank 2 and 1 (`stacked`) to 1024 training images, 512 of Fashion-MNIST,
each in FP32 and in INT8 for ONNX Runtime. Names end in `distilled` after 240 steps of distillation on the whole
training split, in `tuned` after one epoch, on 2,000 images, of adversarial training as the network is rounded; where
the epoch gains nothing on the validation images the network stays as it was, so its row repeats the one above. Forms
that are not in a table, and accuracies that are –, were not measured. Intervals are 95 %.

Natural accuracy is on all test images, the others on the first ones. Robust accuracy is white-box, through the rounding
of INT8, by the attack of the data set's protocol; `and AutoAttack` counts the images that resist this and then all of
AutoAttack's standard version, one after the other: APGD on the cross-entropy, APGD and FAB towards nine classes, 100
steps each, and Square Attack of 5,000 queries on the torch network. Square Attack in its own column queries the engine
of ONNX Runtime. GDWS networks in floating point are attacked as the dense network of the same function; gradients are
in bfloat16 where the machine has it, and what they find is judged by the network itself. Behind an accuracy stands what
it has more than the dense network in FP32, in points on the same images. `twin` is the share of test images on which
the torch twin decides as ONNX Runtime does, and the largest difference of a logit over the largest logit.

Speeds are measured in turns in one job of a local agent: how many times as fast as dense in FP32, then as dense in
INT8. Networks of `preact-resnet18` have the size of the paper's, and random weights.

## What was aimed at

What INT8 itself costs is told of each form against the same form in FP32. `as measured`: the interval has both answers,
so that more images, or longer measurements, may change it. INT8 and GDWS both make operators shorter, and two threads
wait for each other at the end of every operator, so that a second thread gives them less than it gives the dense
network in FP32: the last item has how much.
"""

_ACCURACIES = ("natural", "robust", "autoattack", "square")


def table(results: Mapping[str, Any]) -> str:
    """What was aimed at, and a section for each network."""
    lines = [_HEAD, *sentences(results), ""]
    for name, network in results["networks"].items():
        lines += ["", f"## {name}", ""]
        lines += _accuracies(network.get("accuracy", {}), network.get("machine_of_accuracy"))
        lines += _speeds(network.get("speed", {}), network.get("machine_of_speed"))
    return "\n".join(lines) + "\n"


def _accuracies(found: dict[str, dict[str, Any]], machine: Any) -> Iterator[str]:
    if not found:
        return
    attacks = sorted({each["robust"]["attack"] for each in found.values() if "robust" in each})
    queries = sorted({each["square"]["queries"] for each in found.values() if "square" in each})
    under = " / ".join(attacks) or "white-box"
    asked = f"Square, {' / '.join(map(str, queries))} queries" if queries else "Square"
    yield from (f"| | natural | {under} | and AutoAttack | {asked} | twin |", "|---|---|---|---|---|---|")
    over_dense = {what: changes(found, what, lambda form: BASELINE) for what in _ACCURACIES}
    for name in (form for form in FORMS if form in found):
        cells = [_proportion(found[name].get(what), over_dense[what].get(name)) for what in _ACCURACIES]
        yield f"| {name} | {' | '.join(cells)} | {_agreement(found[name].get('agreement'))} |"
    yield from ("", f"Accuracies on {json.dumps(machine)}.", "")


def _proportion(found: Mapping[str, Any] | None, change: AccuracyChange | None) -> str:
    if found is None:
        return "–"
    words = f"{100 * found['value']:.2f} of {found['count']}"
    if change is not None:
        words += f" ({change.points:+.2f}: {change.low:+.2f} to {change.high:+.2f})"
    return words


def _agreement(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{100 * found['same'] / found['images']:.2f} %, {found['largest_difference']:.3f}"


def _speeds(found: Mapping[str, Any], machine: Any) -> Iterator[str]:
    settings = [(threads, batch) for threads, batches in found.items() for batch in batches]
    if not settings:
        return
    heads = [f"threads {threads}, batch {batch}" for threads, batch in settings]
    yield f"| times as fast as dense, as dense INT8 | {' | '.join(heads)} |"
    yield "|---|" + "---|" * len(settings)
    for name in next(iter(found[settings[0][0]].values())):
        cells = [_speed(found[threads][batch].get(name)) for threads, batch in settings]
        yield f"| {name} | {' | '.join(cells)} |"
    yield from ("", f"Speeds on {json.dumps(machine)}.", "")


def _speed(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    if "refused" in row:
        return row["refused"]
    if "over_dense" not in row:
        return f"{row['median_ms']:.3g} ms"
    words = _ratio(row["over_dense"])
    return f"{words}, {_ratio(row['over_dense_int8'])}" if "over_dense_int8" in row else words


def _ratio(found: Mapping[str, float]) -> str:
    return f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
