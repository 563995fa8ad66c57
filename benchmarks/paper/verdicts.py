"""What a table says of data-aware networks against all others, at equal accuracy and at equal speed.

Each other network of a table is a rival. It is compared with the data-aware networks that were made of the same dense
network, or with all of the table where there are none, as for small networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.paper.judge import unpacked
from benchmarks.paper.rows import Row, Table
from gdws_contract.findings.accuracy import AccuracyChange, paired_change

#: Ratios of FPS up to this one, and down to its reciprocal, count as equal speed.
SAME_SPEED = 1.05
#: A network that loses up to so many points is as accurate.
SAME_ACCURACY = 1.0

ACCURACIES = ("natural", "robust")

BETTER, WORSE = "GDWS is better", "GDWS is worse"
#: It may lose more than counts as equal, by the interval of a gain.
LIKELY = "GDWS is better as far as so many images tell"
TRADE, SAME = "a trade-off", "no difference shown"


@dataclass(frozen=True)
class Judged:
    """A row with what it classifies ``right``, by accuracy and image, and its ``fps`` at batch 1."""

    row: Row
    right: Mapping[str, list[bool]]
    fps: float

    @property
    def family(self) -> str:
        """The key of the dense network that it was made of."""
        return self.row.network.pruned_from or self.row.network.key


@dataclass(frozen=True)
class Comparison:
    """A data-aware network against a rival."""

    mine: Judged
    rival: Judged

    @property
    def speed(self) -> float:
        """How many times as fast it is."""
        return self.mine.fps / self.rival.fps

    def gain(self, name: str) -> AccuracyChange:
        """The gain of an accuracy in points, paired by image."""
        return paired_change(self.rival.right[name], self.mine.right[name])

    @property
    def faster(self) -> int:
        """1 where it is faster, -1 where it is slower, 0 at equal speed."""
        return int(self.speed > SAME_SPEED) - int(self.speed < 1 / SAME_SPEED)

    @property
    def more_accurate(self) -> int:
        """-1 where it loses more than counts as equal, 1 where it is shown to gain more, else 0."""
        gains = [self.gain(name) for name in ACCURACIES]
        if any(gain.points < -SAME_ACCURACY for gain in gains):
            return -1
        return int(any(gain.points > SAME_ACCURACY and gain.low > 0 for gain in gains))

    @property
    def is_sure(self) -> bool:
        """Whether it is shown to lose no more than counts as equal."""
        return all(self.gain(name).low >= -SAME_ACCURACY for name in ACCURACIES)

    @property
    def words(self) -> str:
        """The data-aware network with all figures."""
        assert self.mine.row.data_aware is not None
        gains = ", ".join(f"{name} {_signed(self.gain(name))}" for name in ACCURACIES)
        return f"{self.mine.row.model} {self.mine.row.data_aware.words}, {self.speed:.2f} times as fast, {gains}"


def sentences(table: Table, rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The verdicts as lines of Markdown, a summary last; none where there is nothing to compare."""
    known = [(row, rows[row.key]) for row in table.rows if row.key in rows]
    if not any(row.data_aware for row, _ in known):
        return []
    if len({found["on"] for _, found in known}) > 1:
        return ["Not all rows were judged on the same images, so they are not compared."]
    judged = [each for row, found in known if (each := _judged(row, found)) is not None]
    ours = [each for each in judged if each.row.data_aware is not None]
    rivals = [each for each in judged if each.row.data_aware is None]
    if not ours or not rivals:
        return ["Speed is not measured yet, so nothing is said about equal speed and equal accuracy."]
    by_verdict: dict[str, list[str]] = {verdict: [] for verdict in (BETTER, LIKELY, TRADE, SAME, WORSE)}
    lines = []
    for rival in rivals:
        family = [each for each in ours if each.family == rival.family] or ours
        verdict, words = compared([Comparison(each, rival) for each in family])
        by_verdict[verdict].append(rival.row.model)
        lines.append(f"- {rival.row.model}: **{verdict}**. {words}")
    return [
        "Data-aware GDWS against each other network. Speeds are taken as equal up to a ratio of "
        f"{SAME_SPEED:g}, accuracies up to a",
        f"loss of {SAME_ACCURACY:g} point. Gains in accuracy are in points with their 95 % interval, paired by image.",
        "",
        *lines,
        *(f"- **{verdict}**: {', '.join(models)}." for verdict, models in by_verdict.items() if models),
    ]


def compared(comparisons: Sequence[Comparison]) -> tuple[str, str]:
    """The verdict on a rival by the data-aware networks it is compared with, and the figures it is based on.

    GDWS is better if one of them is faster and as accurate, or more accurate and as fast, and worse if that is so of
    the rival against all of them.
    """
    pairs = [(each.faster, each.more_accurate) for each in comparisons]
    better = [each for each, pair in zip(comparisons, pairs, strict=True) if min(pair) >= 0 and max(pair) > 0]
    if better:
        verdict = BETTER if any(each.is_sure for each in better) else LIKELY
    elif all(max(pair) <= 0 for pair in pairs):
        verdict = WORSE if all(min(pair) < 0 for pair in pairs) else SAME
    else:
        verdict = TRADE
    accuracy, by_accuracy = _at_equal_accuracy(comparisons)
    speed, by_speed = _at_equal_speed(comparisons)
    if by_accuracy is by_speed:
        return verdict, f"{accuracy}; {speed[0].lower()}{speed[1:]}: {by_speed.words}."
    return verdict, f"{accuracy}: {by_accuracy.words}. {speed}: {by_speed.words}."


def _at_equal_accuracy(comparisons: Sequence[Comparison]) -> tuple[str, Comparison]:
    """The fastest of those that are as accurate, or else the most robust."""
    equal = [each for each in comparisons if each.more_accurate >= 0]
    if equal:
        return "At equal accuracy", max(equal, key=_speed)
    return "None is as accurate, the most robust", max(comparisons, key=_robustness)


def _at_equal_speed(comparisons: Sequence[Comparison]) -> tuple[str, Comparison]:
    """The most robust of those that are as fast, or else the fastest."""
    equal = [each for each in comparisons if each.faster >= 0]
    if equal:
        return "At equal speed", max(equal, key=_robustness)
    return "None is as fast, the fastest", max(comparisons, key=_speed)


def _speed(comparison: Comparison) -> float:
    return comparison.speed


def _robustness(comparison: Comparison) -> float:
    return comparison.gain("robust").points


def _judged(row: Row, found: Mapping[str, Any]) -> Judged | None:
    """The row on its fastest backend; None where nothing measured it, or it was judged otherwise."""
    fps = [entry["fps"] for entry in found.get("speed") or [] if entry["fps"] is not None]
    if not fps or not all(name in found.get("right", {}) for name in ACCURACIES):
        return None
    counts = {name: found["accuracies"][name]["count"] for name in ACCURACIES}
    return Judged(row, {name: unpacked(found["right"][name], count) for name, count in counts.items()}, max(fps))


def _signed(gain: AccuracyChange) -> str:
    return f"{gain.points:+.1f} ({gain.low:+.1f} to {gain.high:+.1f})"
