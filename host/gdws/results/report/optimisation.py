"""An optimisation as tables, Markdown, JSON and a page with plots."""

from __future__ import annotations

from pathlib import Path

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws.results.optimisation import Change, EnergyPoint, LayerVerdict, LeastEnergy, Network, Optimisation, Rival
from gdws_contract.findings import text

#: Columns and rows of a table, all text.
Cells = tuple[list[str], list[list[str]]]

FORMATS = (".html", ".md", ".json")


def write(found: Optimisation, path: Path) -> None:
    """Write ``found`` to ``path``, in the format of its suffix. Raises as :func:`render`, and OSError."""
    write_atomic(path, render(found, path.suffix.lower()).encode())


def render(found: Optimisation, suffix: str) -> str:
    """``found`` in the format of a file ``suffix``. Raises :class:`~gdws.errors.ResultError` for any other."""
    if suffix == ".json":
        return found.model_dump_json(indent=1) + "\n"
    if suffix == ".md":
        return _markdown(found)
    if suffix == ".html":
        from gdws.results.report.optimisation_page import render_page

        return render_page(found)
    raise ResultError(f"there is no report format {suffix!r}", hint=f"end the file name in {', '.join(FORMATS)}")


def headline(found: Optimisation) -> str:
    """The answer in one sentence, with its status."""
    return f"{found.status}: {answer(found)}"


def answer(found: Optimisation) -> str:
    """What is delivered, or why nothing is, beginning in lower case."""
    if not found.delivered:
        return f"the dense network stays. {found.reason[:1].upper()}{found.reason[1:]}."
    best = found.delivered[0]
    times = f"{best.speedup:.2f} times as fast as dense ({best.speedup_low:.2f} to {best.speedup_high:.2f})"
    if found.unit == "mJ":
        times = f"dense takes {best.speedup:.2f} times the energy ({best.speedup_low:.2f} to {best.speedup_high:.2f})"
    cost = f"{text.significant(best.cost)} {found.unit} in place of {text.significant(found.dense)}"
    losses = [
        f"{what} {_lost(change)}"
        for what, change in (
            (found.agreement or "natural accuracy", best.final_natural),
            ("robust accuracy", best.final_robust),
        )
        if change is not None
    ]
    kept = [*losses, *_memory_kept(found, best)]
    return f"{times}{_over_rival(found.rival)}, {cost}; {'; '.join(kept)}."


def _memory_kept(found: Optimisation, best: Network) -> list[str]:
    """The peak memory of what is delivered, where it is limited."""
    if found.memory_limit_mib is None:
        return []
    return [f"peak memory {text.significant(best.peak_memory_mib)} MiB of {found.memory_limit_mib:g} MiB allowed"]


def _over_rival(rival: Rival | None) -> str:
    """The gain over the fastest dense form, where that is not the dense network that all are told against."""
    if rival is None or rival.name == "dense":
        return ""
    if rival.gain is None or rival.gain_low is None or rival.gain_high is None:
        return ", and itself the fastest dense form"
    return f", {rival.gain:.2f} times as fast as {rival.name} ({rival.gain_low:.2f} to {rival.gain_high:.2f})"


def residual_words(found: Optimisation) -> str | None:
    """How well latencies were predicted; None where nothing was."""
    if found.residual_median is None or found.residual_p90 is None:
        return None
    terms = "with" if found.has_pair_terms else "without"
    profiles = "" if found.is_profiled else "; the device gives no times of single layers"
    what = "energies" if found.unit == "mJ" else "latencies"
    median, p90 = 100 * found.residual_median, 100 * found.residual_p90
    return (
        f"The model of {what}, {terms} terms for neighbouring layers, was off by {median:.1f} % in the median and "
        f"{p90:.1f} % at the 90th percentile on networks left out of it{profiles}."
    )


def energy_words(found: Optimisation) -> str | None:
    """What to run in which power mode, and what that takes; None where no deadline was given or none is met."""
    energy = found.energy
    point = None if energy is None else energy.chosen
    if energy is None or point is None:
        return None
    what = "the dense network" if point.network == "dense" else "the optimised network"
    whole = "" if point.period_mj is None else f", {text.significant(point.period_mj)} mJ with the rest of the period"
    tail = "" if point.tail_ms is None else f" and {text.significant(point.tail_ms)} ms at the 99th percentile"
    median, deadline = text.significant(point.latency_ms), text.significant(energy.deadline_ms)
    words = (
        f"run {what} in {point.state}: {_energy(point)} mJ an inference{whole}; {median} ms in the median{tail}, of "
        f"{deadline} ms"
    )
    dense = _least_of_dense(energy)
    if point.network == "dense":
        return words
    if dense is None:
        return f"{words}; the dense network meets the deadline in no state that was tried"
    return f"{words}; the dense network takes {_energy(dense)} mJ at best, in {dense.state}"


def _least_of_dense(found: LeastEnergy) -> EnergyPoint | None:
    """The dense network in the state in which it meets the deadline with the least of what is minimised."""
    met = [
        point
        for point in found.points
        if point.network == "dense" and point.tail_ms is not None and point.tail_ms <= found.deadline_ms
    ]
    return min(met, key=found.cost_mj, default=None)


def _energy(point: EnergyPoint) -> str:
    """E.g. ``354 (344 to 365)``."""
    figure = text.significant(point.energy_mj)
    if point.energy_low_mj is None or point.energy_high_mj is None:
        return figure
    return f"{figure} ({text.significant(point.energy_low_mj)} to {text.significant(point.energy_high_mj)})"


def sentences(found: Optimisation) -> list[str]:
    """The answer, the power mode to run it in, and how well costs were predicted."""
    found_words = (headline(found), energy_words(found), residual_words(found))
    return [words for words in found_words if words is not None]


def layer_table(found: Optimisation) -> Cells:
    """Layer by layer: what became of it, and why."""
    costs = [f"dense {found.unit}", found.unit]
    columns = ["layer", "shape", "option", "G/C", *costs, "MACs dense", "MACs", "error", "why"]
    return columns, [_layer_row(layer) for layer in found.layers]


def network_table(found: Optimisation) -> Cells:
    """The networks whose accuracy was judged, fastest first."""
    lost = ["natural", "robust"] if found.agreement is None else [found.agreement]
    losses = [*lost, *(f"test {name}" for name in lost)]
    columns = [
        "network",
        found.unit,
        "predicted",
        "speed-up" if found.unit == "ms" else "dense / network",
        "MACs",
        *losses,
    ]
    shown = [each for each in found.networks if each.natural is not None or each.delivered]
    rows = [_network_row(each, with_robust=found.agreement is None) for each in shown]
    if any(each.peak_memory_mib is not None for each in shown):
        columns.insert(5, "peak MiB")
        for row, each in zip(rows, shown, strict=True):
            row.insert(5, text.significant(each.peak_memory_mib))
    return columns, rows


def energy_table(found: LeastEnergy) -> Cells:
    """Energies and latencies of what was evaluated, and of the dense network, in every state; least energy first."""
    columns = ["state", "network", "mJ", "mJ with rest", "ms", "ms p99", "deadline", "accuracy"]
    rows = [point for point in found.points if point.keeps_limits is not None or point.chosen]
    return columns, [_energy_row(point, found.deadline_ms) for point in sorted(rows, key=found.cost_mj)]


def _energy_row(point: EnergyPoint, deadline_ms: float) -> list[str]:
    is_met = None if point.tail_ms is None else point.tail_ms <= deadline_ms
    return [
        point.state,
        f"{point.network}{' (chosen)' if point.chosen else ''}",
        _energy(point),
        text.significant(point.period_mj),
        text.significant(point.latency_ms),
        text.significant(point.tail_ms),
        {None: text.UNKNOWN, True: "met", False: "missed"}[is_met],
        {None: text.UNKNOWN, True: "within the limits", False: "below the limits"}[point.keeps_limits],
    ]


def _layer_row(layer: LayerVerdict) -> list[str]:
    return [
        layer.name,
        layer.shape,
        layer.option,
        text.significant(layer.mean_rank),
        text.significant(layer.dense_ms),
        text.significant(layer.ms),
        text.scaled(layer.macs_dense),
        text.scaled(layer.macs),
        text.UNKNOWN if layer.error is None else f"{layer.error:.2g}",
        layer.why,
    ]


def _network_row(network: Network, *, with_robust: bool) -> list[str]:
    changes = [network.natural, network.robust, network.final_natural, network.final_robust]
    if not with_robust:
        changes = [network.natural, network.final_natural]
    return [
        f"{network.name}{' (delivered)' if network.delivered else ''}",
        text.significant(network.cost),
        text.significant(network.predicted),
        f"{network.speedup:.2f} ({network.speedup_low:.2f} to {network.speedup_high:.2f})",
        text.scaled(network.macs),
        *(text.UNKNOWN if change is None else _lost(change) for change in changes),
    ]


def _lost(change: Change) -> str:
    """E.g. ``−0.4 points (−1.0 to +0.2)``: how the accuracy changed, so a loss is negative."""
    images = f"{change.images} images"
    if change.low is None or change.high is None:
        return f"{text.points(-change.points)} points ({images})"
    low, high = text.points(-change.high), text.points(-change.low)
    return f"{text.points(-change.points)} points ({low} to {high}, {images})"


def _markdown(found: Optimisation) -> str:
    notes = [words for words in (residual_words(found), *found.doubts) if words is not None]
    parts = [
        f"# {found.network}: {found.goal}",
        headline(found),
        f"{found.device}; {found.setting}",
        *_energy_markdown(found),
        "## Layer by layer",
        _table(layer_table(found)),
        "## Networks",
        "Changes of accuracy against the dense network on the same images, with 95 % intervals.",
        _table(network_table(found)),
        *(["## Notes", "\n".join(f"- {note}" for note in notes)] if notes else []),
    ]
    return "\n\n".join(parts) + "\n"


def _energy_markdown(found: Optimisation) -> list[str]:
    if found.energy is None:
        return []
    words = energy_words(found)
    return ["## Energy against latency", *([] if words is None else [words]), _table(energy_table(found.energy))]


def _table(cells: Cells) -> str:
    columns, rows = cells
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
