"""Endurance: a variant run without a pause, its burst speed and its sustained speed under thermal limits."""

from __future__ import annotations

from typing import Callable, List, Sequence

from gdws_agent.power.thermal import Conditions, summarise
from gdws_contract.measures import Sustained

from .windows import Step, Window, run_window

#: The run is cut into this many windows, back to back: the first tenth and the last fifth are whole numbers of them.
WINDOWS = 20
BURST_SHARE = 0.1
SUSTAINED_SHARE = 0.2


def run_sustained(step: Step, duration_ms: float, on_window: Callable[[Window], None]) -> List[Window]:
    """Run ``step`` for at least ``duration_ms`` and return the windows; ``on_window`` is told each as it ends."""
    windows: List[Window] = []
    while not windows or windows[-1].end_s - windows[0].start_s < duration_ms / 1e3:
        windows.append(run_window(step, min_ms=duration_ms / WINDOWS, min_count=1))
        on_window(windows[-1])
    return windows


def summarise_sustained(windows: Sequence[Window], batch_size: int, seen: Sequence[Conditions]) -> Sustained:
    """Return images per second in the first tenth of the time and in its last fifth.

    A window counts where it begins; the first and the last always do. ``seen`` are the conditions meanwhile.
    """
    start_s, end_s = windows[0].start_s, windows[-1].end_s
    burst_ends_s = start_s + BURST_SHARE * (end_s - start_s)
    last_begins_s = end_s - SUSTAINED_SHARE * (end_s - start_s)
    # Half a window of tolerance: neighbours meet the boundaries up to the time of one inference.
    slack_s = (end_s - start_s) / WINDOWS / 2
    burst = [window for window in windows if window.start_s < burst_ends_s - slack_s]
    last = [window for window in windows if window.start_s > last_begins_s - slack_s]
    return Sustained(
        duration_s=end_s - start_s,
        burst_fps=_fps(burst or windows[:1], batch_size),
        sustained_fps=_fps(last or windows[-1:], batch_size),
        thermal=summarise(seen),
    )


def _fps(windows: Sequence[Window], batch_size: int) -> float:
    images = batch_size * sum(len(window.samples_ns) for window in windows)
    return images / sum(window.end_s - window.start_s for window in windows)
