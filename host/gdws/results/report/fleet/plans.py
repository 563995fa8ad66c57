"""The network that is best for the worst board, and the one that is best for the median board.

Only networks count that keep the accuracy, or the answers, of the baseline, and that were timed on every board that has
times of any such network: on others they could be anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gdws.results.report.fleet.values import Block, Case, Entry, Network
from gdws_contract.findings import text
from gdws_contract.findings.intervals import IntervalEstimate, paired_ratio

_KEEPS = ("baseline", "kept", "agreement")


@dataclass(frozen=True)
class Pick:
    """The ``network`` with the least latency, ``median_ms``: on the board where it is slowest, or at the median board.

    ``device`` is that board, None for the median. ``gain`` is how many times as fast it is as the ``runner_up``: round
    by round on that board where both are slowest there, or board by board. It is None where that is not known.
    """

    network: str
    median_ms: float
    device: str | None
    runner_up: str | None
    runner_up_ms: float | None
    gain: IntervalEstimate | None

    @property
    def is_shown(self) -> bool:
        """Whether it is shown to be faster than the runner-up."""
        return self.gain is not None and self.gain.low > 1


@dataclass(frozen=True)
class Plans:
    """What to choose in one case for all its ``boards``; ``reason`` says why there is no choice.

    ``left_out`` are networks with the reason why they do not count.
    """

    case: Case
    boards: int
    for_worst: Pick | None
    for_median: Pick | None
    left_out: tuple[tuple[str, str], ...]
    reason: str | None


def plans_of(block: Block) -> Plans:
    """The choice of a network in the case of ``block``."""
    left_out = [(network.name, _why_not(network)) for network in block.networks if network.quality not in _KEEPS]
    keeping = [network.name for network in block.networks if network.quality in _KEEPS]
    times = {name: {entry.device: entry for entry in block.of(name) if entry.median_ms is not None} for name in keeping}
    boards = list(dict.fromkeys(device for entries in times.values() for device in entries))
    for name in keeping:
        missing = [device for device in boards if device not in times[name]]
        if missing:
            left_out.append((name, f"not timed on {text.listed(missing)}"))
    complete = {name: entries for name, entries in times.items() if entries and len(entries) == len(boards)}
    reason = None
    if not boards:
        reason = "no network that keeps the baseline's accuracy was timed"
    elif not complete:
        reason = f"no network that keeps the baseline's accuracy was timed on all {text.plural(len(boards), 'board')}"
    return Plans(
        case=block.case,
        boards=len(boards),
        for_worst=_for_worst(complete) if complete else None,
        for_median=_for_median(complete, boards) if complete else None,
        left_out=tuple(left_out),
        reason=reason,
    )


def _why_not(network: Network) -> str:
    words = {
        "at a price": "it loses accuracy",
        "changed": "it gives other answers",
        "not judged": "its quality is not judged",
        "not shown": "its accuracy is not known",
    }
    return f"{words[network.quality]}: {network.words}"


def _for_worst(times: Mapping[str, Mapping[str, Entry]]) -> Pick:
    worst = {name: max(entries.values(), key=_median_ms) for name, entries in times.items()}
    best, second = _first_two({name: _median_ms(entry) for name, entry in worst.items()})
    board, gain = worst[best].device, None
    if second is not None and worst[second].device == board:
        own, other = worst[best].rounds_ms, worst[second].rounds_ms
        gain = paired_ratio(other, own) if len(own) == len(other) else None
    return Pick(
        network=best,
        median_ms=_median_ms(worst[best]),
        device=board,
        runner_up=second,
        runner_up_ms=None if second is None else _median_ms(worst[second]),
        gain=gain,
    )


def _for_median(times: Mapping[str, Mapping[str, Entry]], boards: Sequence[str]) -> Pick:
    by_board = {name: [_median_ms(entries[board]) for board in boards] for name, entries in times.items()}
    medians = {name: statistics.median(values) for name, values in by_board.items()}
    best, second = _first_two(medians)
    return Pick(
        network=best,
        median_ms=medians[best],
        device=None,
        runner_up=second,
        runner_up_ms=None if second is None else medians[second],
        gain=None if second is None else paired_ratio(by_board[second], by_board[best]),
    )


def _first_two(figures: Mapping[str, float]) -> tuple[str, str | None]:
    """The names of the least and the second least figure; of equal ones the former counts as less."""
    ordered = sorted(figures, key=figures.__getitem__)
    return ordered[0], ordered[1] if len(ordered) > 1 else None


def _median_ms(entry: Entry) -> float:
    assert entry.median_ms is not None  # only timed entries get here
    return entry.median_ms
