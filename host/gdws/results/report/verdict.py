"""The answer in a sentence: is a GDWS network faster here, and at what price in accuracy?

Speed counts as gained only if the whole 95 % interval of the speed-up lies above 1; accuracy counts as
kept if neither the natural nor the robust one falls by more than :data:`TOLERANCE_POINTS` on the images
that were judged; where these are too few to rule out a greater fall, the sentence says so. The settings
are judged one by one, and the first, with the smallest batch, is the headline, whether it flatters or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gdws.results.report import text
from gdws.results.report.figures import Facts, Measurement, Setting, VariantFacts
from gdws_contract.findings.accuracy import AccuracyChange
from gdws_contract.measures import Proportion, SpeedUp

#: The fall in accuracy, in percentage points, up to which a network counts as keeping it.
TOLERANCE_POINTS = 1.0

Kind = Literal["gain", "trade", "no-gain", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one setting.

    ``gain``: faster and within the tolerance; ``trade``: faster, but not within it; ``no-gain``: none is
    faster; ``unknown``: not enough was measured to tell. ``variant`` is the one the sentence is about.
    """

    setting: Setting
    kind: Kind
    sentence: str
    variant: str | None


def verdicts(facts: Facts) -> tuple[Verdict, ...]:
    """One verdict for each setting, in order; it says if the times that it rests on carry flags."""
    return tuple(_with_flags(facts, _judge(facts, setting)) for setting in facts.settings)


def headline(facts: Facts) -> str:
    """The verdict of the first setting; it says first if no real device stands behind it."""
    judged = verdicts(facts)
    if not judged:
        return "Nothing was measured, so there is no verdict."
    simulated = any(measurement.simulated for measurement in facts.measurements)
    prefix = "On a simulated device, whose times and power describe no hardware: " if simulated else ""
    if is_profile(facts):
        return f"{prefix}Layers were timed one by one, and no network as a whole, so there is no verdict on speed."
    return prefix + judged[0].sentence


def is_profile(facts: Facts) -> bool:
    """Whether layers were timed in place of the whole networks."""
    return any(m.profile is not None for m in facts.measurements) and all(m.latency is None for m in facts.measurements)


def place(facts: Facts, setting: Setting) -> str:
    """``at batch 1``, with power mode, backend and precision where the result has several."""
    words = [f"at batch {setting.batch_size}"]
    if len({s.power_mode for s in facts.settings}) > 1:
        words.append(f"in {setting.mode or 'the power mode as found'}")
    if len({s.backend for s in facts.settings}) > 1:
        words.append(f"on {setting.backend}")
    if len({s.precision for s in facts.settings}) > 1:
        words.append(f"in {setting.precision}")
    return " ".join(words)


@dataclass(frozen=True)
class _Price:
    """What a network gave up of one kind of accuracy."""

    kind: Literal["robust", "natural"]
    change: AccuracyChange
    after: Proportion
    before: Proportion
    attack: str | None

    def __str__(self) -> str:
        """``robust accuracy 93.1 % against 93.9 % (PGD-40, 1,000 images)``."""
        under = "" if self.attack is None else f"{self.attack}, "
        return (
            f"{self.kind} accuracy {text.percent(self.after.value)} against {text.percent(self.before.value)} "
            f"({under}{text.plural(self.after.count, 'image')})"
        )


@dataclass(frozen=True)
class _Candidate:
    """A GDWS network that was timed beside the dense one; ``price`` is None if it is not known."""

    name: str
    median_ms: float
    speedup: SpeedUp
    price: _Price | None

    @property
    def is_faster(self) -> bool:
        return self.speedup.interval is not None and self.speedup.interval.low > 1

    @property
    def keeps_accuracy(self) -> bool:
        # Rounded, since 93.0 % less 92.0 % is one point only up to the last bit.
        return self.price is not None and round(self.price.change.points, 6) >= -TOLERANCE_POINTS

    @property
    def interval(self) -> str:
        """``95 % interval 1.38–1.45``."""
        interval = self.speedup.interval
        if interval is None:
            return "interval unknown"
        return f"{100 * interval.level:g} % interval {text.ratio_interval(interval)}"


def _judge(facts: Facts, setting: Setting) -> Verdict:
    where = place(facts, setting)
    measured = facts.at(setting)
    dense = next((m for m in measured if m.is_baseline), None)
    if dense is None or dense.latency is None:
        reason = "it was not asked for" if dense is None else dense.reason
        sentence = f"The dense network was not timed {where}, so there is no speed-up: {reason}."
        return Verdict(setting, "unknown", sentence, None)
    candidates = _candidates(facts, measured)
    if not candidates:
        return Verdict(setting, "unknown", f"No GDWS network was timed {where}: {_why_none(measured)}.", None)
    faster = [c for c in candidates if c.is_faster]
    if not faster:
        return _no_gain(setting, where, _fastest(candidates))
    kept = [c for c in faster if c.keeps_accuracy]
    if kept:
        return _gain(setting, where, _fastest(kept), dense.latency.median_ms)
    priced = [(c, c.price) for c in faster if c.price is not None]
    if not priced:
        return _unknown_price(facts, setting, where, _fastest(faster))
    return _trade(setting, where, priced)


def _with_flags(facts: Facts, verdict: Verdict) -> Verdict:
    measured = [m for m in facts.at(verdict.setting) if m.is_baseline or m.variant == verdict.variant]
    codes = sorted({flag.code for m in measured for flag in m.flags})
    if verdict.variant is None or not codes:
        return verdict
    return replace(verdict, sentence=f"{verdict.sentence} These times are flagged: {text.listed(codes)}.")


def _gain(setting: Setting, where: str, best: _Candidate, dense_ms: float) -> Verdict:
    assert best.price is not None  # keeping an accuracy needs one
    change = best.price.change
    sentence = (
        f"{best.name} runs {text.ratio(best.speedup.ratio)} as fast as the dense network {where} "
        f"({best.interval}; median {text.milliseconds(best.median_ms)} against {text.milliseconds(dense_ms)}) "
        f"and keeps its accuracy within {TOLERANCE_POINTS:g} point: {best.price}, "
        f"a difference of {text.points(change.points)} points with a 95 % interval from "
        f"{text.points(change.low)} to {text.points(change.high)}"
    )
    if change.low < -TOLERANCE_POINTS:
        sentence += f"; {text.plural(best.price.after.count, 'image')} do not rule out a greater fall"
    return Verdict(setting, "gain", f"{sentence}.", best.name)


def _no_gain(setting: Setting, where: str, best: _Candidate) -> Verdict:
    price = "" if best.price is None else f", with {best.price}"
    sentence = (
        f"No GDWS network is shown to be faster than the dense one {where}: the fastest, {best.name}, "
        f"runs {text.ratio(best.speedup.ratio)} as fast ({best.interval}){price}."
    )
    return Verdict(setting, "no-gain", sentence, best.name)


def _unknown_price(facts: Facts, setting: Setting, where: str, best: _Candidate) -> Verdict:
    untrusted = [name for name in dict.fromkeys((best.name, facts.baseline)) if facts.variant(name).is_untrusted]
    why = (
        f"the attack on {text.listed(untrusted)} is not to be trusted"
        if untrusted
        else "its accuracy was not evaluated beside the dense network's"
    )
    sentence = (
        f"{best.name} runs {text.ratio(best.speedup.ratio)} as fast as the dense network {where} ({best.interval}); "
        f"{why}, so what the speed costs is not known."
    )
    return Verdict(setting, "unknown", sentence, best.name)


def _trade(setting: Setting, where: str, faster: list[tuple[_Candidate, _Price]]) -> Verdict:
    gentlest, price = max(faster, key=lambda pair: (pair[1].change.points, pair[0].speedup.ratio))
    fastest, its_price = max(faster, key=lambda pair: pair[0].speedup.ratio)
    sentence = (
        f"No GDWS network is both faster than the dense one and within {TOLERANCE_POINTS:g} point of its accuracy "
        f"{where}: of the faster ones, {gentlest.name} loses least, with {price}, and runs "
        f"{text.ratio(gentlest.speedup.ratio)} as fast ({gentlest.interval})"
    )
    if fastest is not gentlest:
        sentence += (
            f"; the fastest, {fastest.name}, runs {text.ratio(fastest.speedup.ratio)} as fast "
            f"at {text.points(its_price.change.points)} points"
        )
    return Verdict(setting, "trade", sentence + ".", gentlest.name)


def _candidates(facts: Facts, measured: list[Measurement]) -> list[_Candidate]:
    dense = facts.variant(facts.baseline)
    return [
        _Candidate(m.variant, m.latency.median_ms, m.speedup, _price(facts.variant(m.variant), dense))
        for m in measured
        if not m.is_baseline and m.latency is not None and m.speedup is not None
    ]


def _price(variant: VariantFacts, dense: VariantFacts) -> _Price | None:
    """The greater of the falls in robust and natural accuracy.

    None if nothing can be compared. Where either network was attacked, natural accuracy alone does not do.
    """
    prices = []
    if variant.robust_change is not None and variant.robust is not None and dense.robust is not None:
        attack = text.attack_name(variant.attack)
        prices.append(_Price("robust", variant.robust_change, variant.robust, dense.robust, attack))
    elif variant.robust is not None or dense.robust is not None:
        return None
    if variant.natural_change is not None and variant.natural is not None and dense.natural is not None:
        prices.append(_Price("natural", variant.natural_change, variant.natural, dense.natural, None))
    return min(prices, key=lambda price: price.change.points, default=None)


def _fastest(candidates: list[_Candidate]) -> _Candidate:
    return max(candidates, key=lambda c: c.speedup.ratio)


def _why_none(measured: list[Measurement]) -> str:
    others = [m for m in measured if not m.is_baseline]
    failed = sum(m.state == "parity_failed" for m in others)
    if failed:
        return f"{failed} of {len(others)} failed parity"
    return others[0].reason or "the speed-up is missing" if others else "none was asked for"
