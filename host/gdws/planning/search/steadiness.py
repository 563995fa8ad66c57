"""Which measurements were taken while the machine was in another state than at other times.

A neighbour on the same cores, a virtual machine whose host is busy, a slower wake-up of threads: such states last for
seconds or minutes, and slow some networks more than others, so ratios to the dense network do not cancel them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gdws.planning.search.evidence import Profile
from gdws.planning.search.space import Choice

#: Dense latencies of one device in one setting that differ by more are of two states.
SAME_STATE = 0.04
#: Profiles vary more, since each network has a single one.
_SAME_PROFILE = 0.12
#: Speed-ups that are known to this share decide; others are measured again, so often at most.
_KNOWN_TO = 0.05
DECIDING_REPEATS = 2

_Found = TypeVar("_Found")


def slower(dense_ms: Sequence[float]) -> list[int]:
    """The indices of measurements in which the dense network took longer than in the fastest."""
    limit = (1 + SAME_STATE) * min(dense_ms, default=0.0)
    return [index for index, ms in enumerate(dense_ms) if ms > limit]


def disturbed(profiles: Mapping[Choice, Profile], measured_ms: Mapping[Choice, float], dense: Choice) -> set[Choice]:
    """The networks whose profiles take longer than their latencies in ``measured_ms`` explain.

    A profile slows everything by about the same factor, that of the ``dense`` network, and adds a time of its own to
    every node, about the same in all that were not disturbed; that is taken to be the lower quartile.
    """
    known = {choice: profile for choice, profile in profiles.items() if choice in measured_ms and profile.nodes}
    factor = max(known[dense].ms / measured_ms[dense], 1.0) if dense in known else 1.0
    expected_ms = {choice: factor * measured_ms[choice] for choice in known}
    overheads = sorted((profile.ms - expected_ms[choice]) / profile.nodes for choice, profile in known.items())
    if not overheads:
        return set()
    usual = max(overheads[len(overheads) // 4], 0.0)
    return {
        choice
        for choice, profile in known.items()
        if profile.ms > (1 + _SAME_PROFILE) * (expected_ms[choice] + usual * profile.nodes)
    }


def surest(take: Callable[[int], _Found], margin: Callable[[_Found], float]) -> _Found:
    """The first measurement that is sure enough to decide, or of all that are tried the surest.

    ``take`` gives repetition 0, 1, ... and ``margin`` how far its worst interval reaches to each side, as a share. What
    is kept depends on how wide the intervals are and not on where they lie, so it favours no network.
    """
    tried: list[_Found] = []
    while len(tried) <= DECIDING_REPEATS:
        tried.append(take(len(tried)))
        if margin(tried[-1]) <= _KNOWN_TO:
            return tried[-1]
    return min(tried, key=margin)
