"""One entry of the matrix as people read it; every renderer shows the same parts."""

from __future__ import annotations

from gdws.results.report.fleet.sentences import bare
from gdws.results.report.fleet.values import Entry, Network
from gdws_contract.findings import text

#: What the accuracy of a network is called below its name.
QUALITIES = {
    "baseline": "baseline",
    "kept": "accuracy kept",
    "at a price": "loses accuracy",
    "agreement": "same answers, accuracy not known",
    "changed": "other answers",
    "not judged": "quality not judged",
    "not shown": "accuracy not known",
}


def quality(network: Network) -> str:
    """The verdict on the accuracy of a network, in a few words."""
    return QUALITIES[network.quality]


def speedup(entry: Entry) -> str | None:
    """The speed-up over the baseline of the same device with its interval; None for the baseline and if not known."""
    if entry.speedup is None:
        return None
    return f"{text.ratio(entry.speedup)} ({text.ratio_interval(entry.speedup_interval)})"


def energy(entry: Entry) -> str | None:
    """The energy of an inference; None where it was not measured."""
    return None if entry.energy_mj is None else f"{text.significant(entry.energy_mj)} mJ"


def fps(entry: Entry) -> str | None:
    """Images per second."""
    return None if entry.fps is None else f"{text.significant(entry.fps)} FPS"


def reason(entry: Entry) -> str:
    """Why there are no times."""
    return bare(entry.reason)


def line(entry: Entry) -> str:
    """All on one line."""
    if entry.median_ms is None:
        return f"{text.UNKNOWN} ({reason(entry)})"
    parts = (text.milliseconds(entry.median_ms), fps(entry), speedup(entry), energy(entry))
    return ", ".join(part for part in parts if part is not None)
