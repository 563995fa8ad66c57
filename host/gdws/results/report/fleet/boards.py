"""Equal boards: how far one network spreads over them, and which boards stand out.

Boards are equal that are of one :class:`~gdws.results.report.fleet.values.Kind`; times are compared of one network in
one case, in one power mode with clocks fixed or not alike. All is on the logarithmic scale, from the medians of the
rounds: a board's typical latency is their geometric mean, and its interval is that of the rounds.

**Spread**: slowest over fastest, with Welch's interval. Since the two are picked from all boards, its level is that of
Bonferroni for all pairs: no two of equal boards differ if it includes 1.

**Standing out**: a board's effect is the mean, over the cells that it shares with equal boards, of its distance to
their median. It stands out if both hold: the effect is an outlier among those of all boards of the kind, see
:func:`outliers`, which is about the spread between boards; and its own interval, at a level corrected for the number of
boards, does not reach the median, which is about the uncertainty within a board. Of two boards neither can be told to
be the odd one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gdws.results.report.fleet.values import Block, Case, Device, Entry, Kind
from gdws_contract.findings.intervals import CONFIDENCE, IntervalEstimate, from_logs, unpaired_ratio
from gdws_contract.findings.student_t import t_quantile

#: With fewer boards no outlier can be told.
FEWEST_BOARDS = 3
#: Variance of the median of normal values over that of their mean, for many values.
_MEDIAN_OVER_MEAN = math.pi / 2


@dataclass(frozen=True)
class Spread:
    """One network on equal boards; ``power_mode`` and ``jetson_clocks`` are those in force.

    ``ratio`` is the slowest over the fastest; None where one of them has fewer than two rounds.
    """

    case: Case
    network: str
    kind: Kind
    power_mode: str | None
    jetson_clocks: bool | None
    boards: int
    fastest: str
    fastest_ms: float
    slowest: str
    slowest_ms: float
    ratio: IntervalEstimate | None

    @property
    def is_shown(self) -> bool:
        """Whether the two boards are shown to differ."""
        return self.ratio is not None and self.ratio.low > 1


@dataclass(frozen=True)
class Standing:
    """A board among its ``boards`` equal ones: ``ratio`` is its latency over that of the median board.

    ``cells`` are those that the ratio is the geometric mean of.
    """

    device: str
    kind: Kind
    boards: int
    cells: int
    ratio: IntervalEstimate
    stands_out: bool


class _Log(NamedTuple):
    """The logarithm of a typical latency, the variance of that, and its degrees of freedom."""

    mean: float
    variance: float
    freedom: int


class _Cell(NamedTuple):
    """What equal boards measured alike."""

    block: Block
    network: str
    kind: Kind
    entries: Sequence[Entry]


def spreads(blocks: Sequence[Block], devices: Sequence[Device]) -> tuple[Spread, ...]:
    """The spread of each network over each group of at least two equal boards, in the order of ``blocks``."""
    return tuple(_spread(cell) for cell in _cells(blocks, devices))


def standings(blocks: Sequence[Block], devices: Sequence[Device]) -> tuple[Standing, ...]:
    """Each board that shares a cell with an equal one, kind by kind, in the order of ``devices``."""
    of_kinds: dict[Kind, list[dict[str, _Log]]] = {}
    for cell in _cells(blocks, devices):
        logs = {entry.device: log for entry in cell.entries if (log := _log(entry.rounds_ms)) is not None}
        if len(logs) > 1:
            of_kinds.setdefault(cell.kind, []).append(logs)
    found = {each.device: each for kind, cells in of_kinds.items() for each in _standings(kind, cells)}
    return tuple(found[device.name] for device in devices if device.name in found)


def outliers(values: Sequence[float], *, level: float = CONFIDENCE) -> frozenset[int]:
    """The indices of ``values`` that are outliers by the generalised extreme Studentised deviate test (Rosner, 1983).

    Fewer than half of the values can be. The probability that one is named where there is none is at most 1 -
    ``level``: Rosner's critical values hold for 25 values or more and give twice as many for 5 to 10, so they are taken
    at a level that is corrected for the number of steps.
    """
    left = dict(enumerate(values))
    removed: list[int] = []
    count = 0
    steps = (len(values) - 1) // 2
    for _ in range(steps):
        mean, deviation = statistics.fmean(left.values()), statistics.stdev(left.values())
        if deviation == 0:
            break
        farthest = max(left, key=lambda index: abs(left[index] - mean))
        statistic = abs(left.pop(farthest) - mean) / deviation
        removed.append(farthest)
        if statistic > _critical(len(left) + 1, 1 - (1 - level) / steps):
            count = len(removed)
    return frozenset(removed[:count])


def _critical(count: int, level: float) -> float:
    """The largest Studentised deviate that chance gives the farthest of ``count`` normal values."""
    t = t_quantile(1 - (1 - level) / (2 * count), count - 2)
    return (count - 1) * t / math.sqrt((count - 2 + t * t) * count)


def _cells(blocks: Iterable[Block], devices: Sequence[Device]) -> Iterable[_Cell]:
    """Every group of at least two boards that were measured alike."""
    kinds = {device.name: device.kind for device in devices}
    for block in blocks:
        for network in block.networks:
            groups: dict[tuple[Kind, str | None, bool | None], list[Entry]] = {}
            for entry in block.of(network.name):
                kind = kinds[entry.device]
                if kind is not None and entry.median_ms is not None and entry.rounds_ms:
                    groups.setdefault((kind, entry.power_mode, entry.jetson_clocks), []).append(entry)
            for (kind, _, _), entries in groups.items():
                if len(entries) > 1:
                    yield _Cell(block, network.name, kind, entries)


def _spread(cell: _Cell) -> Spread:
    typical = {entry.device: statistics.geometric_mean(entry.rounds_ms) for entry in cell.entries}
    ordered = sorted(cell.entries, key=lambda entry: typical[entry.device])
    fastest, slowest, boards = ordered[0], ordered[-1], len(ordered)
    level = 1 - (1 - CONFIDENCE) / (boards * (boards - 1) / 2)
    return Spread(
        case=cell.block.case,
        network=cell.network,
        kind=cell.kind,
        power_mode=fastest.power_mode,
        jetson_clocks=fastest.jetson_clocks,
        boards=boards,
        fastest=fastest.device,
        fastest_ms=typical[fastest.device],
        slowest=slowest.device,
        slowest_ms=typical[slowest.device],
        ratio=unpaired_ratio(slowest.rounds_ms, fastest.rounds_ms, level=level),
    )


def _standings(kind: Kind, cells: Sequence[Mapping[str, _Log]]) -> list[Standing]:
    names = list(dict.fromkeys(name for cell in cells for name in cell))
    level = 1 - (1 - CONFIDENCE) / len(names)
    ratios = {name: _effect(name, [cell for cell in cells if name in cell], level) for name in names}
    odd = outliers([math.log(ratios[name].value) for name in names]) if len(names) >= FEWEST_BOARDS else frozenset()
    return [
        Standing(
            device=name,
            kind=kind,
            boards=len(names),
            cells=sum(name in cell for cell in cells),
            ratio=ratios[name],
            stands_out=place in odd and not ratios[name].low <= 1 <= ratios[name].high,
        )
        for place, name in enumerate(names)
    ]


def _effect(name: str, cells: Sequence[Mapping[str, _Log]], level: float) -> IntervalEstimate:
    """The latency of a board over the median of ``cells``, all of which it has.

    The board is one of those that the median is of, which makes the interval somewhat too wide.
    """
    distances = [cell[name].mean - statistics.median(each.mean for each in cell.values()) for cell in cells]
    variance = math.fsum(cell[name].variance + _of_median(list(cell.values())) for cell in cells) / len(cells) ** 2
    freedom = min(cell[name].freedom for cell in cells)
    margin = t_quantile((1 + level) / 2, freedom) * math.sqrt(variance)
    return from_logs(statistics.fmean(distances), below=margin, above=margin, level=level)


def _of_median(logs: Sequence[_Log]) -> float:
    """The variance of the median, by what is known within the boards."""
    mean = statistics.fmean(each.variance for each in logs) / len(logs)
    return mean if len(logs) == 2 else _MEDIAN_OVER_MEAN * mean


def _log(rounds_ms: Sequence[float]) -> _Log | None:
    """None for fewer than two rounds, or where one is not positive."""
    if len(rounds_ms) < 2 or not all(math.isfinite(each) and each > 0 for each in rounds_ms):
        return None
    logs = [math.log(each) for each in rounds_ms]
    return _Log(statistics.fmean(logs), statistics.variance(logs) / len(logs), len(logs) - 1)
