"""The plots of a report, each with what it shows in words.

Colours are CSS variables of the page (``--ink``, ``--accent``, ...), so that a plot follows the reader's
light or dark setting; text stays text, so that it can be searched and scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from gdws.results.report.figures import Facts, Measurement
from gdws.results.report.labels import place_labels
from gdws.results.report.svg import ACCENT, FONT_PT, GOOD, INK, LINE, MUTED, new_figure, to_svg
from gdws_contract.findings import text
from gdws_contract.findings.price import TOLERANCE_POINTS
from gdws_contract.findings.setting import Setting
from gdws_contract.measures import LatencySummary, Metric, Proportion


@dataclass(frozen=True)
class Plot:
    """``svg`` is one element; ``alt`` is its text alternative.

    ``has_goal`` says that the corner is shaded where a network is faster and keeps its quality.
    """

    svg: str
    alt: str
    has_goal: bool = False


@dataclass(frozen=True)
class _Point:
    """One network: images per second with the range over rounds, and its quality with its interval."""

    name: str
    is_baseline: bool
    fps: float
    fps_low: float
    fps_high: float
    quality: float
    quality_low: float
    quality_high: float


@dataclass(frozen=True)
class _Quality:
    """What networks are judged by, with the value of each by name; shares are shown in percent.

    ``tolerance`` is the fall up to which it counts as kept, None where that is not judged.
    """

    words: str
    values: Mapping[str, Metric]
    tolerance: float | None

    @property
    def scale(self) -> float:
        """The factor from a value to its display."""
        return 100 if any(isinstance(value, Proportion) for value in self.values.values()) else 1

    @property
    def unit(self) -> str:
        """With a space before it."""
        return " %" if self.scale == 100 else ""


def accuracy_against_speed(facts: Facts, setting: Setting, *, key: str) -> Plot | None:
    """Quality over images per second, one point a network: see :func:`_quality`.

    ``key`` must differ between the plots of one page. None if there is nothing to show.
    """
    quality = _quality(facts)
    points = [
        _point(m, m.fps, quality.values[m.variant], quality.scale)
        for m in facts.at(setting)
        if m.fps is not None and m.variant in quality.values
    ]
    if not points:
        return None
    figure, (axes,) = new_figure(height_in=3.5)
    axes.set_xlim(*_padded([limit for p in points for limit in (p.fps_low, p.fps_high)], 0.16))
    axes.set_ylim(*_padded([limit for p in points for limit in (p.quality_low, p.quality_high)], 0.10))
    if quality.tolerance is not None:
        for p in points:
            if p.is_baseline:
                _mark_goal(axes, p, quality.scale * quality.tolerance)
    for p in points:
        _draw_point(axes, p)
    axes.set_xlabel("images per second (FPS)")
    axes.set_ylabel(f"{quality.words} (%)" if quality.unit else quality.words, parse_math=False)
    figure.draw_without_rendering()  # the layout must be final before labels are placed in it
    named = [(p.name, p.fps, p.quality) for p in points]
    place_labels(axes, named, colour=INK, line_colour=MUTED, size_pt=FONT_PT - 0.5)
    shown = "; ".join(
        f"{p.name} {text.significant(p.fps)} FPS and {_told(p.quality, quality.unit)}{quality.unit}" for p in points
    )
    alt = f"Plot of {quality.words} against images per second at batch {setting.batch_size}: {shown}."
    return Plot(to_svg(figure, alt=alt, key=key), alt, has_goal=quality.tolerance is not None)


def _quality(facts: Facts) -> _Quality:
    """Robust accuracy, or natural accuracy if no attack was run; of other networks than classifiers, the metric that
    leads.
    """
    if facts.leading:
        first = facts.leading[0]
        found = {variant.name: variant.metric(first.name) for variant in facts.variants}
        values: dict[str, Metric] = {name: each.value for name, each in found.items() if each is not None}
        return _Quality(first.words, values, None if first.is_agreement else TOLERANCE_POINTS / 100)
    attacked = any(variant.robust is not None for variant in facts.variants)
    accuracies = {
        variant.name: accuracy
        for variant in facts.variants
        if (accuracy := variant.robust if attacked else variant.natural) is not None
    }
    return _Quality("robust accuracy" if attacked else "natural accuracy", accuracies, TOLERANCE_POINTS / 100)


def _told(value: float, unit: str) -> str:
    return f"{value:.1f}" if unit else text.significant(value)


def latency_by_batch(facts: Facts, settings: Sequence[Setting], *, key: str) -> Plot | None:
    """Median latency of each network as a bar with a whisker to the 95th percentile, a panel a setting.

    ``settings`` differ in the batch size alone. ``key`` must differ between the plots of one page.
    None if there is nothing to show.
    """
    panels: list[tuple[Setting, list[tuple[Measurement, LatencySummary]]]] = []
    for setting in settings:
        timed = [(m, m.latency) for m in facts.at(setting) if m.latency is not None]
        if timed:
            panels.append((setting, timed))
    if not panels:
        return None
    rows = [len(timed) for _, timed in panels]
    height_in = 0.5 + sum(0.23 * count + 0.5 for count in rows)
    figure, all_axes = new_figure(height_in=height_in, ratios=[count + 0.6 for count in rows])
    for axes, (setting, timed) in zip(all_axes, panels, strict=True):
        _draw_bars(axes, timed)
        title = ", ".join(word for word in (f"batch {setting.batch_size}", setting.mode) if word)
        axes.set_title(title, loc="left", fontsize=FONT_PT, color=INK, fontweight="bold", parse_math=False)
    all_axes[-1].set_xlabel("median latency (ms), whisker to p95")
    shown = "; ".join(
        f"batch {setting.batch_size}: "
        + ", ".join(f"{m.variant} {text.milliseconds(latency.median_ms)}" for m, latency in timed)
        for setting, timed in panels
    )
    alt = f"Bars of the median latency by batch size. {shown}."
    return Plot(to_svg(figure, alt=alt, key=key), alt)


def _point(measurement: Measurement, fps: float, quality: Metric, scale: float) -> _Point:
    interval = quality.interval
    return _Point(
        name=measurement.variant,
        is_baseline=measurement.is_baseline,
        fps=fps,
        fps_low=fps if measurement.fps_low is None else min(measurement.fps_low, fps),
        fps_high=fps if measurement.fps_high is None else max(measurement.fps_high, fps),
        quality=scale * quality.value,
        quality_low=scale * (quality.value if interval is None else interval.low),
        quality_high=scale * (quality.value if interval is None else interval.high),
    )


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    """The range of ``values`` with room on both sides."""
    low, high = min(values), max(values)
    room = share * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _mark_goal(axes: Axes, dense: _Point, tolerance: float) -> None:
    """Shade where a network is faster than the dense one and within the tolerance of its quality."""
    floor = dense.quality - tolerance
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    goal = Rectangle((dense.fps, floor), right - dense.fps, top - floor, color=GOOD, alpha=0.13, linewidth=0)
    axes.add_patch(goal)


def _draw_point(axes: Axes, p: _Point) -> None:
    colour = INK if p.is_baseline else ACCENT
    axes.plot([p.fps, p.fps], [p.quality_low, p.quality_high], color=colour, linewidth=1.3, alpha=0.5)
    axes.plot([p.fps_low, p.fps_high], [p.quality, p.quality], color=colour, linewidth=1.3, alpha=0.5)
    axes.plot([p.fps], [p.quality], marker="D" if p.is_baseline else "o", markersize=7, color=colour)


def _draw_bars(axes: Axes, timed: Sequence[tuple[Measurement, LatencySummary]]) -> None:
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_color(LINE)
    axes.set_ylim(len(timed) - 0.4, -0.6)
    axes.set_yticks(range(len(timed)), [m.variant for m, _ in timed], color=INK, parse_math=False)
    longest = max(_whisker(latency) for _, latency in timed)
    for row, (m, latency) in enumerate(timed):
        end = _whisker(latency)
        axes.barh(row, latency.median_ms, height=0.62, color=INK if m.is_baseline else ACCENT, alpha=0.85)
        axes.plot([latency.median_ms, end], [row, row], color=MUTED, linewidth=1.3)
        faster = "" if m.speedup is None else f" · {text.ratio(m.speedup.ratio)}"
        axes.text(end + 0.015 * longest, row, text.significant(latency.median_ms) + faster,
                  va="center", fontsize=FONT_PT - 0.5, color=INK)  # fmt: skip
    axes.set_xlim(0, 1.28 * longest or 1.0)


def _whisker(latency: LatencySummary) -> float:
    """The 95th percentile in milliseconds, or the median where the samples are too few for it."""
    return latency.median_ms if latency.p95_ms is None else latency.p95_ms
