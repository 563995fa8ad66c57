"""The latency of each network over devices, as a picture."""

from __future__ import annotations

import statistics

from gdws.results.report.fleet.values import Block
from gdws.results.report.plots import Plot
from gdws.results.report.svg import ACCENT, FONT_PT, INK, LINE, MUTED, new_figure, to_svg
from gdws_contract.findings import text


def latency_over_devices(block: Block, *, key: str) -> Plot | None:
    """A row of dots for each network, one for each device, with a line at the median and the slowest named.

    ``key`` must differ between the plots of one page. None if fewer than two devices have times.
    """
    timed = [
        (network, [(entry.median_ms, entry.device) for entry in block.of(network.name) if entry.median_ms is not None])
        for network in block.networks
    ]
    timed = [(network, times) for network, times in timed if times]
    if len({device for _, times in timed for _, device in times}) < 2:
        return None
    figure, (axes,) = new_figure(height_in=0.9 + 0.36 * len(timed))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_color(LINE)
    axes.set_ylim(len(timed) - 0.4, -0.6)
    axes.set_yticks(range(len(timed)), [network.name for network, _ in timed], color=INK, parse_math=False)
    longest = max(time for _, times in timed for time, _ in times)
    axes.set_xlim(0, 1.3 * longest)
    for row, (network, times) in enumerate(timed):
        values = [time for time, _ in times]
        slowest_ms, slowest = max(times)
        colour = INK if network.is_baseline else ACCENT
        axes.plot(values, [row] * len(values), linestyle="", marker="o", markersize=5.5, color=colour, alpha=0.55)
        axes.plot([statistics.median(values)] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=1.8)
        axes.text(slowest_ms + 0.02 * longest, row, slowest, va="center", fontsize=FONT_PT - 1, color=MUTED,
                  parse_math=False)  # fmt: skip
    axes.set_xlabel("median latency (ms), a dot a device")
    told = "; ".join(
        f"{network.name} {text.milliseconds(min(times)[0])} to {text.milliseconds(max(times)[0])}, median "
        f"{text.milliseconds(statistics.median(time for time, _ in times))}"
        for network, times in timed
    )
    alt = f"Median latency of each network over devices, {', '.join(block.case.words)}: {told}."
    return Plot(to_svg(figure, alt=alt, key=key), alt)
