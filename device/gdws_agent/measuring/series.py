"""Time series of a cell on request: its rounds, latency, power, temperatures and clocks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from gdws_agent.power.energy import Sample
from gdws_contract.series import MAX_CURVES, Curve, Series, SeriesOptions, Span

if TYPE_CHECKING:
    from .results import Findings

#: (seconds since the cell's origin, value)
_Points = List[Tuple[float, float]]


class _Named(NamedTuple):
    kind: str
    name: str
    unit: str


def series_of(findings: Findings, power: Sequence[Sample], options: SeriesOptions, monotonic_zero_s: float) -> Series:
    """Return the readings of one cell.

    ``power`` are those of the whole group, of which the cell keeps its own stretches. ``monotonic_zero_s`` is the
    time at 0 of ``time.monotonic``, in seconds since 1970.
    """
    zero_s = min((window.start_s for window in findings.windows), default=0.0)
    spans = list(_spans(findings, zero_s))
    curves: Dict[_Named, _Points] = {}
    for named, time_s, value in _readings(findings, power, zero_s, spans):
        curves.setdefault(named, []).append((time_s, value))
    kept = list(curves.items())[:MAX_CURVES]
    return Series(
        origin_unix_s=monotonic_zero_s + zero_s,
        spans=spans,
        curves=[_curve(named, points, options.max_points) for named, points in kept],
        left_out=len(curves) - len(kept),
    )


def thinned(points: Sequence[Tuple[float, float]], most: int) -> Sequence[Tuple[float, float]]:
    """Return at most ``most`` (two or more) of the points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return points
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def _curve(named: _Named, points: _Points, most: int) -> Curve:
    points.sort()
    kept = thinned(points, most)
    return Curve.model_validate(
        {
            **named._asdict(),
            "readings": len(points),
            "times_s": [round(time_s, 6) for time_s, _ in kept],
            "values": [float(f"{value:.6g}") for _, value in kept],
        }
    )


def _spans(findings: Findings, zero_s: float) -> Iterator[Span]:
    for number, window in enumerate(findings.windows):
        yield Span(
            name="round",
            start_s=window.start_s - zero_s,
            duration_s=window.end_s - window.start_s,
            round=number,
            count=len(window.samples_ns),
            median_ms=window.median_ms,
        )
    log = findings.paced_log
    if log is not None:
        yield Span(name="paced", start_s=log.origin_s - zero_s, duration_s=log.closed_ns / 1e9, count=len(log.ended_ns))


def _readings(
    findings: Findings, power: Sequence[Sample], zero_s: float, spans: Sequence[Span]
) -> Iterator[Tuple[_Named, float, float]]:
    latency = _Named("latency", "latency", "ms")
    for window in findings.windows:
        elapsed_ns = 0
        for sample_ns in window.samples_ns:
            yield latency, window.start_s - zero_s + elapsed_ns / 1e9, sample_ns / 1e6
            elapsed_ns += sample_ns
    log = findings.paced_log
    if log is not None:
        paced = _Named("latency", "paced latency", "ms")
        for at, end in zip(log.scheduled_ns, log.ended_ns):
            yield paced, log.origin_s - zero_s + at / 1e9, (end - at) / 1e6
    for seen in findings.conditions:
        for zone, celsius in seen.temperatures_c.items():
            yield _Named("temperature", zone, "°C"), seen.time_s - zero_s, celsius
        for clock, mhz in seen.clocks_mhz.items():
            yield _Named("clock", clock, "MHz"), seen.time_s - zero_s, mhz
    for sample in power:
        time_s = sample.time_s - zero_s
        if any(0 <= time_s - span.start_s <= span.duration_s for span in spans):
            yield _Named("power", "total", "W"), time_s, sample.total_w
            for rail, watts in sample.rails_w.items():
                yield _Named("power", f"rail {rail}", "W"), time_s, watts
