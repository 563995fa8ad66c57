"""The report as Markdown that GitHub shows as tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gdws._util.visible_text import visible
from gdws.results.report.figures import Circumstances, Facts, Measurement, VariantFacts
from gdws.results.report.order import report_tables
from gdws.results.report.summary import Summary
from gdws.results.report.tables import Table, layer_profiles
from gdws.results.report.tasks import in_words
from gdws_contract.findings import text
from gdws_contract.findings.accuracy import AccuracyChange
from gdws_contract.findings.setting import Setting
from gdws_contract.measures import Parity, Proportion

#: What Markdown or the HTML inside it would take for markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!~$&@])")

_NOT_TRUSTED = ", **the attack cannot be trusted**"


def render_markdown(summaries: Sequence[Summary]) -> str:
    """The text on ``summaries``. Every string of a result is escaped: a bundle may come from anyone."""
    return "\n".join(line for summary in summaries for line in _result(summary)).rstrip() + "\n"


def escape(value: object) -> str:
    """``value`` as plain text on one line of Markdown."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(str(value).split())))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[str] = ()) -> list[str]:
    """The lines of a table; cells must be escaped.

    The first column and those called in ``words`` hold text and are set to the left, the others figures.
    """
    rules = ["---" if index == 0 or name in words else "---:" for index, name in enumerate(header)]
    lines = [header, rules, *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _result(summary: Summary) -> list[str]:
    facts = summary.facts
    lines = [f"# GDWS report: {escape(facts.name)}", ""]
    if facts.description:
        lines += [escape(facts.description), ""]
    lines += [f"**{escape(summary.headline)}**", ""]
    lines += [f"- {escape(verdict.sentence)}" for verdict in summary.verdicts[1:]]
    if summary.doubts:
        lines += ["", "Before you trust the figures:", "", *(f"- {escape(doubt)}" for doubt in summary.doubts)]
    lines += ["", "## The networks", "", *_networks(facts), ""]
    if facts.findings.is_timed:
        lines += ["## Every measurement", ""]
        for setting in facts.settings:
            lines += [*_measurements(facts, setting), ""]
    for each in report_tables(facts):
        lines += [f"## {escape(each.title)}", "", *grid(each), escape(each.note), ""]
    profiles = layer_profiles(facts)
    if profiles:
        lines += ["## Time layer by layer", ""]
    for each in profiles:
        summary_line = f"<details><summary>{_html(each.title)}</summary>"
        lines += [summary_line, "", *grid(each), escape(each.note), "", "</details>", ""]
    if any(variant.layers for variant in facts.variants):
        lines += ["## The networks layer by layer", ""]
    for variant in facts.variants:
        lines += _layers(variant)
    return [*lines, "## How it was measured", "", *_circumstances(facts), ""]


def _networks(facts: Facts) -> list[str]:
    measured = {m.variant: m for m in facts.at(facts.settings[0])} if facts.settings else {}
    where = f" at batch {facts.settings[0].batch_size}" if facts.settings else ""
    header = [
        "Network",
        f"Speed-up{where}",
        "FPS",
        "Median latency",
        *_quality_heads(facts),
        "Parity",
        "MACs",
        "Parameters",
        "ONNX",
    ]
    rows = []
    for variant in facts.variants:
        m = measured.get(variant.name)
        parity = m.parity if m else None
        rows.append(
            [
                _name(variant),
                _speedup(m),
                text.significant(m.fps if m else None),
                text.milliseconds(m.latency.median_ms if m and m.latency else None),
                *_quality(facts, variant, parity),
                _parity(parity),
                " ".join([text.scaled(variant.macs), _in_brackets(text.fewer(variant.macs_ratio))]).strip(),
                " ".join([text.scaled(variant.parameters), _in_brackets(text.fewer(variant.parameters_ratio))]).strip(),
                text.mebibytes(variant.onnx_bytes),
            ]
        )
    return table(header, rows)


def _quality_heads(facts: Facts) -> list[str]:
    """What the networks are judged by: the metrics of their task, or accuracies."""
    if facts.leading:
        return [escape(each.title) for each in facts.leading]
    return ["Robust accuracy", "Natural accuracy", "On the device: robust, natural"]


def _quality(facts: Facts, variant: VariantFacts, parity: Parity | None) -> list[str]:
    """The cells below :func:`_quality_heads`."""
    if facts.leading:
        found = [variant.metric(each.name) for each in facts.leading]
        return [text.UNKNOWN if each is None else escape(each.shown) for each in found]
    return [
        _accuracy(variant.robust, variant.robust_change) + (_NOT_TRUSTED if variant.is_untrusted else ""),
        _natural(variant),
        f"{_share(parity.robust if parity else None)}, {_share(parity.natural if parity else None)}",
    ]


def _measurements(facts: Facts, setting: Setting) -> list[str]:
    header = ["Network", "n", "min ms", "mean", "median", "p90", "p95", "p99", "max", "CV", "FPS", "Speed-up", "Notes"]
    rows = []
    for m in facts.at(setting):
        if m.latency is None:
            rows.append([escape(m.variant), *[text.UNKNOWN] * (len(header) - 2), escape(m.reason)])
            continue
        t = m.latency
        times = [t.min_ms, t.mean_ms, t.median_ms, t.p90_ms, t.p95_ms, t.p99_ms, t.max_ms]
        notes = [f"{flag.code}: {flag.detail}" for flag in m.flags]
        if t.percentiles_withheld:
            notes.append(t.percentiles_withheld)
        rows.append(
            [
                escape(m.variant),
                text.whole(t.count),
                *(text.significant(time) for time in times),
                text.percent(t.cv),
                text.significant(m.fps),
                _speedup(m),
                escape("; ".join(notes)),
            ]
        )
    first, *others = setting.words
    title = ", ".join([f"**{escape(first.capitalize())}**", *(escape(word) for word in others)])
    return [title, "", *table(header, rows, words=["Notes"])]


def grid(found: Table) -> list[str]:
    """The lines of each group of ``found``, each below its heading."""
    lines = []
    for heading, rows in found.groups:
        cells = [
            [escape(row.name), *(escape(cell) for cell in row.cells)]
            if row.reason is None
            else [escape(row.name), *[text.UNKNOWN] * (len(found.columns) - 1), escape(row.reason)]
            for row in rows
        ]
        lines += [*([f"**{escape(heading)}**", ""] if heading else [])]
        lines += [*table([found.first, *found.columns], cells, words=found.words), ""]
    return lines


def _layers(variant: VariantFacts) -> list[str]:
    if not variant.layers:
        return []
    header = ["Layer", "Weight", "Form", "G/C", "MACs before", "after", "Parameters before", "after", "e²"]
    rows = [
        [
            escape(layer.name),
            "×".join(map(str, layer.shape)),
            escape(f"GDWS, {layer.layout}" if layer.converted else f"dense: {layer.reason or 'no reason is given'}"),
            text.significant(layer.mean_rank),
            text.scaled(layer.macs_before),
            text.scaled(layer.macs_after),
            text.scaled(layer.parameters_before),
            text.scaled(layer.parameters_after),
            text.significant(layer.error),
        ]
        for layer in variant.layers
    ]
    converted = f"{variant.converted_layers} of {len(variant.layers)} convolutions converted"
    summary = f"<details><summary>{_html(variant.name)}: {converted}</summary>"
    return [summary, "", *table(header, rows, words=["Form"]), "", "</details>", ""]


def _circumstances(facts: Facts) -> list[str]:
    c: Circumstances = facts.circumstances
    d, p = c.device, c.protocol
    simulated = " (simulated)" if d.simulated else ""
    attack = f"; adversarial: {text.attack_settings(c.verification.attack)}" if c.verification.attack else ""
    protocol = (
        f"warm-up of at least {p.warmup_ms:g} ms, then until steady; {p.rounds} rounds with the networks in turn; "
        f"at least {p.min_duration_ms:g} ms and {text.whole(p.min_iterations)} inferences per cell"
    )
    entries = {
        "Device": f"{d.hostname}{simulated}: {d.board or d.cpu_model or d.machine}, {d.os}, kernel {d.kernel}",
        "Cores": f"{text.whole(d.physical_cores)} physical, {text.whole(d.logical_cores)} logical",
        "Software": ", ".join([f"gdws-agent {d.agent_version}", f"Python {d.python}", *c.runtimes]),
        "Engine": ", ".join(c.engine_options) or text.UNKNOWN,
        **({"Protocol": protocol} if facts.findings.is_timed else {}),
        **({"A time covers": "; ".join(c.scopes)} if c.scopes else {}),
        "Power": c.power or text.UNKNOWN,
        "Task": in_words(facts.task),
        "Verification": f"{text.whole(c.verification.count)} inputs: {c.verification.data}{attack}",
        "Bundle": f"{facts.name}, {c.bundle_id}, written by {c.bundle_tool.name} {c.bundle_tool.version}",
        "Job": f"{c.job_id}, {c.job_state}, {c.started_at or text.UNKNOWN} to {c.finished_at or text.UNKNOWN}",
        **{name.replace("_", " "): value for name, value in c.environment.items()},
        **{name.replace("_", " "): str(value) for name, value in c.provenance.items()},
    }
    return [f"- **{escape(name)}**: {escape(value)}" for name, value in entries.items()]


def _name(variant: VariantFacts) -> str:
    return f"**{escape(variant.name)}**" + (f"<br>{escape(variant.method)}" if variant.method else "")


def _speedup(m: Measurement | None) -> str:
    if m is None or m.latency is None:
        return text.UNKNOWN
    if m.is_baseline:
        return "1"
    if m.speedup is None:
        return text.UNKNOWN
    return f"{text.ratio(m.speedup.ratio)} ({text.ratio_interval(m.speedup.interval)})"


def _accuracy(proportion: Proportion | None, change: AccuracyChange | None) -> str:
    if proportion is None:
        return text.UNKNOWN
    difference = "" if change is None else f", {text.points(change.points)} points"
    return f"{text.percent(proportion.value)} ({text.percent_interval(proportion)}){difference}"


def _natural(variant: VariantFacts) -> str:
    if variant.agreement is not None:
        return f"{text.percent(variant.agreement.value)} as the baseline"
    return _accuracy(variant.natural, variant.natural_change)


def _share(proportion: Proportion | None) -> str:
    return text.percent(proportion.value if proportion else None)


def _parity(parity: Parity | None) -> str:
    if parity is None:
        return text.UNKNOWN
    agreement = "" if parity.agreement is None else f", {parity.agreement.successes}/{parity.agreement.count} agree"
    return f"{'passed' if parity.passed else '**failed**'}{agreement}"


def _in_brackets(words: str) -> str:
    return f"({words})" if words else ""


def _html(value: str) -> str:
    """``value`` inside an HTML block, where Markdown's escapes do not hold."""
    return visible(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
