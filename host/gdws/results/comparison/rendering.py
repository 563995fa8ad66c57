"""A comparison as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws.results.report.markdown import escape, table
from gdws_contract.findings import text
from gdws_contract.findings.accuracy import AccuracyChange
from gdws_contract.findings.comparison import CellComparison, Comparison, MetricComparison, Side
from gdws_contract.findings.intervals import IntervalEstimate
from gdws_contract.findings.layers import ProfileComparison
from gdws_contract.rest import CellKey

#: History of the JSON: 1, first version. Fields may be added within a version.
SCHEMA_VERSION = 1

_COLUMNS = ("network", "setting", "A, ms", "B, ms", "B is", "times as fast", "interval", "energy")
_ACCURACIES = ("natural", "robust")
#: Columns that hold text.
WORDS = ("setting", "B is")

#: Of profiles, layer by layer of the source network.
LAYER_COLUMNS = ("layer", "A, ms", "B, ms", "times as fast", "A, share", "B, share")
LAYER_CAVEAT = "Profiling takes time itself, for each layer that a runtime runs: compare shares, and times with care."

CAVEAT = (
    "Times are medians; the speed-up is of the typical window, with its 95 % interval over the windows of each run. "
    "What differs from run to run as a whole, such as heat or another build of an engine, is not in the interval: to "
    "be sure of a small difference, measure both networks in one bundle, where they take turns. Energy is how many "
    "times less B takes per inference. Accuracy is the change on the device, in percentage points; other metrics are "
    "the host's, in A and in B."
)


def columns(comparison: Comparison) -> tuple[str, ...]:
    """The heads of :func:`row`: the metrics of the task are in place of accuracies, where there are any."""
    return (*_COLUMNS, *(_metrics(comparison).values() or _ACCURACIES))


def _metrics(comparison: Comparison) -> dict[str, str]:
    """Names and words."""
    return {each.name: each.words for cell in comparison.cells for each in cell.metrics}


def write(comparison: Comparison, path: Path) -> None:
    """Write ``comparison`` to ``path`` in the format of its suffix, ``.md`` or ``.json``.

    Raises :class:`ResultError` for another suffix, and OSError if the file cannot be written.
    """
    renderers = {".md": render_markdown, ".json": render_json}
    render = renderers.get(path.suffix.lower())
    if render is None:
        raise ResultError(
            f"there is no format {path.suffix!r} of comparisons", hint="end the file name in .md or .json"
        )
    write_atomic(path, render(comparison).encode())


def render_json(comparison: Comparison) -> str:
    """``{"schema_version": 1, "a": ..., "b": ..., "cells": [...], ...}``. Unknown is null."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **comparison.model_dump(mode="json")}, indent=1) + "\n"


def render_markdown(comparison: Comparison) -> str:
    """The text on ``comparison``. Every string of a result is escaped: a bundle may come from anyone."""
    a, b = comparison.a, comparison.b
    lines = [
        f"# {escape(b.bundle or text.UNKNOWN)}: B against A",
        "",
        f"- A: {escape(describe(a))}",
        *(f"  - {escape(line)}" for line in shown(a)),
        f"- B: {escape(describe(b))}",
        *(f"  - {escape(line)}" for line in shown(b)),
        "",
    ]
    if comparison.cells:
        rows = [[escape(word) for word in row(comparison, cell)] for cell in comparison.cells]
        lines += [*table([escape(each) for each in columns(comparison)], rows, words=WORDS), "", CAVEAT, ""]
    lines += [f"- {escape(line)}" for line in untold(comparison)]
    for profiles in comparison.profiles:
        shown_rows = [[escape(word) for word in each] for each in layer_rows(profiles)]
        lines += ["", f"## {escape(layer_title(profiles))}", "", *table(LAYER_COLUMNS, shown_rows), "", LAYER_CAVEAT]
    lines += ["", "## What else was not the same", ""]
    if comparison.differences:
        pairs = [
            [escape(d.what), escape(d.a or "not known"), escape(d.b or "not known")] for d in comparison.differences
        ]
        lines += table(("circumstance", "A", "B"), pairs, words=("A", "B"))
    else:
        lines += ["Nothing that is known."]
    return "\n".join(lines) + "\n"


def describe(side: Side) -> str:
    """Where one of the results is from, in a line."""
    words = [f"{side.source}, bundle {side.bundle or text.UNKNOWN} ({side.bundle_id[:12]})", f"job {side.job_id}"]
    if side.finished_at is not None:
        words.append(f"ended {side.finished_at}")
    if side.label is not None:
        words.append(f"labelled {side.label}")
    if side.partial:
        words.append("stopped early")
    return ", ".join(words)


def shown(side: Side) -> list[str]:
    """What one of the results shows by itself: its verdicts, as its report has them."""
    return [f"{verdict.title}: {verdict.sentence}" for verdict in side.verdicts]


def row(comparison: Comparison, cell: CellComparison) -> list[str]:
    """The figures of one cell of ``comparison`` under :func:`columns`."""
    metrics = {each.name: each for each in cell.metrics}
    found = [_pair(metrics.get(name)) for name in _metrics(comparison)]
    return [
        cell.key.variant,
        _setting(cell.key),
        text.significant(cell.median_a_ms),
        text.significant(cell.median_b_ms),
        cell.verdict,
        _ratio(cell.speedup),
        _interval(cell.speedup),
        _ratio(cell.energy_saving),
        *(found or [_change(cell.natural_change), _change(cell.robust_change)]),
    ]


def layer_title(profiles: ProfileComparison) -> str:
    """Which networks are compared layer by layer, and what their layers take together."""
    sides = [
        f"{name}: {key.variant}, {_setting(key)}, {text.milliseconds(total)}"
        for name, key, total in (("A", profiles.a, profiles.a_total_ms), ("B", profiles.b, profiles.b_total_ms))
    ]
    return f"Layer by layer, {'; '.join(sides)}"


def layer_rows(profiles: ProfileComparison) -> list[list[str]]:
    """The figures of each layer under :data:`LAYER_COLUMNS`."""
    return [
        [
            layer.source,
            text.significant(layer.a_ms),
            text.significant(layer.b_ms),
            text.UNKNOWN if not layer.a_ms or not layer.b_ms else f"{layer.a_ms / layer.b_ms:.2f}",
            text.percent(layer.a_share),
            text.percent(layer.b_share),
        ]
        for layer in profiles.layers
    ]


def _pair(metric: MetricComparison | None) -> str:
    if metric is None:
        return text.UNKNOWN
    return f"{metric.a or text.UNKNOWN} → {metric.b or text.UNKNOWN}"


def untold(comparison: Comparison) -> Sequence[str]:
    """Why cells have no speed-up, and which cells only one of the results has."""
    lines = [
        f"{cell.key.variant}, {_setting(cell.key)}, is not compared: {cell.reason}"
        for cell in comparison.cells
        if cell.reason is not None
    ]
    for name, keys in (("A", comparison.only_a), ("B", comparison.only_b)):
        lines += [f"only {name} has {key.variant}, {_setting(key)}" for key in keys]
    return lines


def _setting(key: CellKey) -> str:
    words = [f"batch {key.batch_size}", key.backend, key.precision]
    return ", ".join(words if key.power_mode is None else [*words, f"power mode {key.power_mode}"])


def _ratio(estimate: IntervalEstimate | None) -> str:
    return text.UNKNOWN if estimate is None else f"{estimate.value:.3f}"


def _interval(estimate: IntervalEstimate | None) -> str:
    return text.UNKNOWN if estimate is None else f"{estimate.low:.3f}–{estimate.high:.3f}"


def _change(change: AccuracyChange | None) -> str:
    return text.points(None if change is None else change.points)
