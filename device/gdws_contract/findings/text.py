"""Formatting of figures. Unknown values are a dash, never zero."""

from __future__ import annotations

from typing import Iterable

from gdws_contract.manifest import Attack
from gdws_contract.measures import Interval, Metric, Proportion

UNKNOWN = "–"


def significant(value: float | None, digits: int = 3) -> str:
    """``value`` in plain notation with ``digits`` significant digits: 0.0123, 1.23, 12.3, 1,234."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = int(f"{rounded:e}".partition("e")[2])
    return f"{value:,.{max(digits - 1 - exponent, 0)}f}"


def milliseconds(value: float | None) -> str:
    """A time with its unit, e.g. ``1.23 ms``."""
    return UNKNOWN if value is None else f"{significant(value)} ms"


def whole(value: float | None) -> str:
    """A count with separators, e.g. ``1,234``."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def scaled(value: float | None) -> str:
    """A large count with k, M or G, e.g. ``695 k``."""
    if value is None:
        return UNKNOWN
    for divisor, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= divisor * 0.9995:  # what would read 1,000 of the smaller unit
            return significant(value / divisor) + suffix
    return whole(value)


def mebibytes(size_bytes: int | None) -> str:
    """A size, e.g. ``2.65 MiB``."""
    return UNKNOWN if size_bytes is None else f"{significant(size_bytes / 2**20)} MiB"


def percent(share: float | None) -> str:
    """A share of 1, e.g. ``93.9 %``."""
    return UNKNOWN if share is None else f"{100 * share:.1f} %"


def points(value: float | None) -> str:
    """A difference in percentage points with its sign, e.g. ``−0.4``."""
    if value is None:
        return UNKNOWN
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def ratio(value: float | None) -> str:
    """How many times, e.g. ``1.42×``."""
    return UNKNOWN if value is None else f"{value:.2f}×"


def fewer(dense_over_this: float | None) -> str:
    """A saving in words, e.g. ``1.83× fewer``; nothing if it is not known."""
    if dense_over_this is None:
        return ""
    return f"{ratio(dense_over_this)} fewer" if dense_over_this >= 1 else f"{ratio(1 / dense_over_this)} more"


def ratio_interval(interval: Interval | None) -> str:
    """The limits of a ratio, e.g. ``1.38–1.45``."""
    return UNKNOWN if interval is None else f"{interval.low:.2f}–{interval.high:.2f}"


def percent_interval(proportion: Proportion | None) -> str:
    """The limits of a share, e.g. ``92.3–95.2 %``."""
    if proportion is None or proportion.interval is None:
        return UNKNOWN
    return f"{100 * proportion.interval.low:.1f}–{100 * proportion.interval.high:.1f} %"


def metric(value: Metric) -> str:
    """A proportion in percent, another figure with its unit."""
    if isinstance(value, Proportion):
        return percent(value.value)
    return significant(value.value) if value.unit is None else f"{significant(value.value)} {value.unit}"


def attack_name(attack: Attack | None) -> str:
    """The short name, e.g. ``PGD-40``."""
    if attack is None:
        return UNKNOWN
    name = attack.name.upper() if attack.name.isalpha() and len(attack.name) <= 4 else attack.name
    return name if attack.iterations is None else f"{name}-{attack.iterations}"


def attack_settings(attack: Attack | None) -> str:
    """The name and all settings, e.g. ``PGD-40 (linf, eps 0.2, step 0.02, random start)``."""
    if attack is None:
        return UNKNOWN
    if attack.parts:
        return f"{attack_name(attack)} of {'; '.join(map(attack_settings, attack.parts))}"
    settings = [attack.norm]
    if attack.eps is not None:
        settings.append(f"eps {attack.eps:g}")
    if attack.step is not None:
        settings.append(f"step {attack.step:g}")
    settings.append("random start" if attack.random_start else "zero start")
    if attack.restarts > 1:
        settings.append(f"{attack.restarts} restarts")
    return f"{attack_name(attack)} ({', '.join(settings)})"


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def each_once(words: Iterable[str]) -> str:
    """``words`` in their order, each once, e.g. ``too slow; too large``."""
    return "; ".join(dict.fromkeys(words))


def plural(count: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{whole(count)} {noun}" if count == 1 else f"{whole(count)} {noun}s"


def capitalised(words: str) -> str:
    """``words`` with a capital letter, but for ``mAP`` and the like."""
    return words[:1].upper() + words[1:] if words[1:2].islower() else words
