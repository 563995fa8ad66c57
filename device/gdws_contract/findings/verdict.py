"""The verdict on a result: whether a network is faster than the baseline, and at what price in accuracy.

Speed counts as gained only if the whole 95 % interval of the speed-up lies above 1; accuracy counts as
kept if neither the natural nor the robust one falls by more than :data:`TOLERANCE_POINTS` on the images
that were judged; where these are too few to rule out a greater fall, the sentence says so. Without true
labels, or on noise, there is no verdict on accuracy: the sentence tells how far the answers agree; where they do not
agree well enough to be the baseline's answers, the outcome says so. What is no classifier is judged by the metrics of
its task in the same way. The settings are judged one by one, each by itself.

This is the one place that decides: the report, ``gdws compare``, the agent and its dashboard show what it says.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import Name, Reading
from gdws_contract.measures import Interval, SpeedUp

from . import text
from .cells import Speed, direction, speed_of
from .intervals import paired_ratio
from .price import TOLERANCE_POINTS, Judged, Price, Remark, price_of, remark_of, why_no_price
from .setting import Setting

Kind = Literal["gain", "trade", "faster", "changed", "no-gain", "unknown"]
#: What an outcome is called at a glance; the sentence beside it says more.
TITLES: Dict[Kind, str] = {
    "gain": "Faster, accuracy kept",
    "trade": "Faster, at a price",
    "faster": "Faster, accuracy not judged",
    "changed": "Faster, but other answers",
    "no-gain": "No gain",
    "unknown": "Not decided",
}
Accuracy = Literal["kept", "at a price", "not shown", "agreement"]


class Verdict(Reading):
    """The outcome of one setting."""

    setting: Setting
    kind: Kind = Field(
        description="gain: faster and within the tolerance of accuracy; trade: faster, but not within it; "
        "faster: faster, and evaluated without true labels or by metrics without a tolerance; "
        "changed: faster, and agrees with the baseline too little to give its answers; "
        "no-gain: none is faster; unknown: not enough was measured to tell."
    )
    variant: Optional[Name] = Field(description="The network that the sentence is about; null: none was timed.")
    speed: Speed = Field(description="Of that network against the baseline.")
    accuracy: Accuracy = Field(description="Of that network against the baseline, on the host's test images.")
    title: str = Field(description="The kind in words.")
    sentence: str


def judge(
    setting: Setting, settings: Sequence[Setting], baseline: Optional[Judged], others: Sequence[Judged]
) -> Verdict:
    """The verdict on the networks ``others`` in ``setting``, which is one of the ``settings`` of the result.

    ``baseline`` is None if it was not asked for. The verdict says if the times that it rests on carry flags.
    """
    found = _judge(setting, setting.among(settings), baseline, others)
    cells = [each.cell for each in others if each.variant == found.variant and each.cell]
    if not cells or baseline is None or baseline.cell is None:
        return found
    codes = sorted({flag.code for cell in (baseline.cell, *cells) for flag in cell.flags})
    flagged = f" These times are flagged: {text.listed(codes)}." if codes else ""
    return found.model_copy(update={"sentence": found.sentence + flagged})


class _Candidate(NamedTuple):
    """A network that was timed beside the baseline; ``price`` and ``remark`` are None if they are not known.

    ``rounds_ms`` are its medians round by round, in which the networks took turns.
    """

    name: str
    is_dense: bool
    median_ms: float
    rounds_ms: Tuple[float, ...]
    speedup: SpeedUp
    speed: Speed
    price: Optional[Price]
    remark: Optional[Remark]

    @property
    def accuracy(self) -> Accuracy:
        """What ``price`` says in a word, or ``remark`` in place of it."""
        if self.price is not None:
            return "kept" if self.price.is_kept else "at a price"
        return "agreement" if self.remark is not None and self.remark.is_agreement else "not shown"

    @property
    def runs(self) -> str:
        """``runs 1.42× as fast``."""
        return f"runs {text.ratio(self.speedup.ratio)} as fast"

    @property
    def interval(self) -> str:
        """``95 % interval 1.38–1.45``."""
        interval = self.speedup.interval
        if interval is None:
            return "interval unknown"
        return f"{100 * interval.level:g} % interval {text.ratio_interval(interval)}"


def _judge(setting: Setting, where: str, baseline: Optional[Judged], others: Sequence[Judged]) -> Verdict:
    if baseline is None or baseline.latency is None:
        reason = "it was not asked for" if baseline is None else baseline.reason
        return _open(setting, f"The baseline was not timed {where}, so there is no speed-up: {reason}.")
    candidates = _candidates(baseline, others)
    if not candidates:
        return _open(setting, f"No network was timed with the baseline {where}: {_why_none(others)}.")
    faster = [each for each in candidates if each.speed == "faster"]
    if not faster:
        return _no_gain(setting, where, _fastest(candidates))
    kept = [each for each in faster if each.accuracy == "kept"]
    if kept:
        return _gain(setting, where, kept, baseline.latency.median_ms)
    priced = [each for each in faster if each.price is not None]
    if priced:
        return _trade(setting, where, priced)
    remarked = [each for each in faster if each.remark is not None]
    if remarked:
        return _unjudged(setting, where, remarked)
    best = _fastest(faster)
    own = next(each for each in others if each.variant == best.name)
    sentence = (
        f"{best.name} {best.runs} as the baseline {where} ({best.interval}); "
        f"{why_no_price(baseline, own)}, so what the speed costs is not known."
    )
    return _about(best, setting, "unknown", sentence)


def _open(setting: Setting, sentence: str) -> Verdict:
    """The verdict if nothing can be compared."""
    return Verdict(
        setting=setting,
        kind="unknown",
        variant=None,
        speed="not measured",
        accuracy="not shown",
        title=TITLES["unknown"],
        sentence=sentence,
    )


def _about(best: _Candidate, setting: Setting, kind: Kind, sentence: str) -> Verdict:
    return Verdict(
        setting=setting,
        kind=kind,
        variant=best.name,
        speed=best.speed,
        accuracy=best.accuracy,
        title=TITLES[kind],
        sentence=sentence,
    )


def _gain(setting: Setting, where: str, kept: Sequence[_Candidate], baseline_ms: float) -> Verdict:
    best = _fastest(kept)
    assert best.price is not None  # keeping an accuracy needs one
    change = best.price.change
    sentence = (
        f"{best.name} {best.runs} as the baseline {where} "
        f"({best.interval}; median {text.milliseconds(best.median_ms)} against {text.milliseconds(baseline_ms)}) "
        f"and keeps its {best.price.quality} within {TOLERANCE_POINTS:g} point: {best.price}, "
        f"a difference of {text.points(change.points)} points with a 95 % interval from "
        f"{text.points(change.low)} to {text.points(change.high)}"
    )
    if change.low < -TOLERANCE_POINTS:
        sentence += f"; {best.price.images} do not rule out a greater fall"
    dense = [each for each in kept if each.is_dense]
    if dense and not best.is_dense:
        sentence += f". {_beside(best, _fastest(dense))}"
    return _about(best, setting, "gain", f"{sentence}.")


def _beside(best: _Candidate, dense: _Candidate) -> str:
    """What ``best`` gains over a dense network that is faster than the baseline and keeps its accuracy, too."""
    name = f"{dense.name}, the fastest dense form that keeps its accuracy"
    pairs = len(best.rounds_ms) == len(dense.rounds_ms)
    found = paired_ratio(dense.rounds_ms, best.rounds_ms) if pairs else None
    if found is None:
        times = text.ratio(dense.median_ms / best.median_ms)
        return f"It runs {times} as fast as {name} (interval unknown)"
    interval = Interval(low=found.low, high=found.high, level=found.level, method="paired-rounds-t")
    figures = f"{text.ratio(found.value)} as fast, 95 % interval {text.ratio_interval(interval)}"
    if direction(found) == "faster":
        return f"It is faster than {name}, too: {figures}"
    return f"It is not shown to be faster than {name}: {figures}"


def _no_gain(setting: Setting, where: str, best: _Candidate) -> Verdict:
    price = "" if best.price is None else f", with {best.price}"
    remark = "" if best.remark is None else f"; {best.remark.words}"
    figures = f"the fastest, {best.name}, {best.runs} ({best.interval}){price}{remark}"
    if best.speed == "unstable":
        sentence = f"Whether a network is faster than the baseline {where} is not shown: {figures}, in unsteady times."
        return _about(best, setting, "unknown", sentence)
    return _about(best, setting, "no-gain", f"No network is shown to be faster than the baseline {where}: {figures}.")


def _trade(setting: Setting, where: str, faster: List[_Candidate]) -> Verdict:
    gentlest = max(faster, key=lambda each: (_points(each), each.speedup.ratio))
    fastest = _fastest(faster)
    assert gentlest.price is not None
    quality = gentlest.price.quality
    sentence = (
        f"No network is both faster than the baseline and within {TOLERANCE_POINTS:g} point of its {quality} "
        f"{where}: of the faster ones, {gentlest.name} loses least, with {gentlest.price}, and "
        f"{gentlest.runs} ({gentlest.interval})"
    )
    if fastest is not gentlest:
        sentence += f"; the fastest, {fastest.name}, {fastest.runs} at {text.points(_points(fastest))} points"
    return _about(gentlest, setting, "trade", f"{sentence}.")


def _unjudged(setting: Setting, where: str, faster: Sequence[_Candidate]) -> Verdict:
    """The verdict where no accuracy is known: the fastest that still gives the baseline's answers, if one does."""
    same = [each for each in faster if each.remark is not None and each.remark.kept is not False]
    best = _fastest(same or faster)
    assert best.remark is not None
    sentence = f"{best.name} {best.runs} as the baseline {where} ({best.interval}); {best.remark.words}"
    if same:
        return _about(best, setting, "faster", f"{sentence}.")
    return _about(best, setting, "changed", f"{sentence}. These are other answers than the baseline's.")


def _points(candidate: _Candidate) -> float:
    assert candidate.price is not None
    return candidate.price.change.points


def _candidates(baseline: Judged, others: Sequence[Judged]) -> List[_Candidate]:
    assert baseline.cell is not None
    found = []
    for each in others:
        if each.cell is not None and each.cell.latency is not None and each.cell.speedup is not None:
            speed = speed_of(each.cell.speedup, [*each.cell.flags, *baseline.cell.flags])
            found.append(
                _Candidate(
                    name=each.variant,
                    is_dense=each.network is not None and each.network.is_dense,
                    median_ms=each.cell.latency.median_ms,
                    rounds_ms=tuple(window.median_ms for window in each.cell.rounds),
                    speedup=each.cell.speedup,
                    speed=speed,
                    price=price_of(each, baseline),
                    remark=remark_of(each, baseline),
                )
            )
    return found


def _fastest(candidates: Sequence[_Candidate]) -> _Candidate:
    return max(candidates, key=lambda each: each.speedup.ratio)


def _why_none(others: Sequence[Judged]) -> str:
    failed = sum(each.cell is not None and each.cell.state == "parity_failed" for each in others)
    if failed:
        return f"{failed} of {len(others)} failed parity"
    return others[0].reason or "the speed-up is missing" if others else "none was asked for"
