"""Energy against latency of every network in every power mode, with the deadline and what was chosen."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from gdws.results.optimisation import EnergyPoint, LeastEnergy
from gdws.results.report.plots import Plot
from gdws.results.report.svg import GOOD, INK, MUTED, new_figure, to_svg

#: Colours of states in order, told apart by readers who see few (Okabe and Ito 2008); states beyond them begin anew
#: with another mark.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_MARKS = ("o", "s", "^", "v")
#: A deadline that lies further off, in longest latencies, would leave the networks in a corner: it is told in words.
_FAR = 2.0
#: What the names of states in power modes begin with, which a legend need not repeat.
_MODE = "power mode "
_LEGEND_COLUMNS, _LEGEND_ROWS, _ROW_IN = 2, 2, 0.17


def energy_plot(found: LeastEnergy) -> Plot | None:
    """Energy over the 99th percentile of the latency; None without points.

    Filled marks are networks that keep the limits of accuracy, hollow ones those that do not or were not evaluated.
    """
    if not found.points:
        return None
    rows = (len(found.states) + 2 + _LEGEND_COLUMNS - 1) // _LEGEND_COLUMNS  # the deadline and the choice, too
    figure, (axes,) = new_figure(height_in=3.8 + _ROW_IN * max(rows - _LEGEND_ROWS, 0))
    for place, state in enumerate(found.states):
        colour = _COLOURS[place % len(_COLOURS)]
        mark = _MARKS[place // len(_COLOURS) % len(_MARKS)]
        points = [point for point in found.points if point.state == state]
        for point in points:
            _draw(axes, point, found, colour, mark)
        axes.plot([], [], mark, color=colour, markersize=6, label=state.removeprefix(_MODE))
    _draw_deadline(axes, found)
    chosen = found.chosen
    if chosen is not None:
        axes.plot([_latency(chosen)], [found.cost_mj(chosen)], "*", color=INK, markersize=14, label="chosen")
    axes.set_xlabel("latency, 99th percentile (ms)")
    axes.set_ylabel(f"energy of {'an inference' if found.minimised == 'inference' else 'a period'} (mJ)")
    axes.set_ylim(bottom=0)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.18),
        ncols=_LEGEND_COLUMNS,
        frameon=False,
        fontsize=7.5,
        labelcolor=MUTED,
        columnspacing=1.0,
        handletextpad=0.4,
    )
    alt = _words(found)
    return Plot(to_svg(figure, alt=alt, key="energy"), alt)


def _draw_deadline(axes: Axes, found: LeastEnergy) -> None:
    """A line at the deadline, or where that is far to the right of all networks an entry in the legend alone."""
    deadline_ms = found.deadline_ms
    style: dict[str, Any] = {"color": GOOD, "linewidth": 1.2, "linestyle": "--"}
    if deadline_ms <= _FAR * max(map(_latency, found.points)):
        axes.axvline(deadline_ms, label="deadline", **style)
    else:
        axes.plot([], [], label=f"deadline: {deadline_ms:g} ms, far right", **style)


def _draw(axes: Axes, point: EnergyPoint, found: LeastEnergy, colour: str, mark: str) -> None:
    """One network with the interval of its energy."""
    latency_ms, energy_mj = _latency(point), found.cost_mj(point)
    if point.energy_low_mj is not None and point.energy_high_mj is not None:
        low, high = (energy_mj + end - point.energy_mj for end in (point.energy_low_mj, point.energy_high_mj))
        axes.plot([latency_ms, latency_ms], [low, high], color=colour, linewidth=1.2, alpha=0.5)
    face = colour if point.keeps_limits else "none"
    is_dense = point.network == "dense"
    axes.plot([latency_ms], [energy_mj], "D" if is_dense else mark, color=colour, markerfacecolor=face, markersize=6)


def _latency(point: EnergyPoint) -> float:
    return point.latency_ms if point.tail_ms is None else point.tail_ms


def _words(found: LeastEnergy) -> str:
    best = []
    for state in found.states:
        met = [p for p in found.points if p.state == state and p.keeps_limits and _latency(p) <= found.deadline_ms]
        least = min((found.cost_mj(point) for point in met), default=None)
        words = "none meets the deadline" if least is None else f"at least {least:.4g} mJ"
        best.append(f"{state.removeprefix(_MODE)}: {words}")
    chosen = "" if found.chosen is None else f" The star is what was chosen: {found.chosen.network}."
    return (
        "Energy over the 99th percentile of the latency. Filled marks keep the limits of accuracy, hollow ones do not "
        "or were not evaluated; diamonds are the dense network, the dashed line is the deadline of "
        f"{found.deadline_ms:g} ms.{chosen} Of the networks within the limits, {'; '.join(best)}."
    )
