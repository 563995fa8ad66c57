"""How many CPU threads a network is to run on: converted networks and dense ones need not agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gdws.planning.search.evidence import Meter
from gdws.planning.search.explorer import probes
from gdws.planning.search.space import Space
from gdws_contract.rest import DeviceInfo


@dataclass(frozen=True)
class ThreadChoice:
    """``threads`` are best for converted networks; the dense one takes ``dense_ms`` on ``dense_threads``, its best."""

    threads: int
    dense_threads: int
    dense_ms: float


def candidates(device: DeviceInfo) -> Iterator[int]:
    """1, 2, 4, … up to one for each physical core, which is among them."""
    cores = device.physical_cores or device.logical_cores or 1
    count = 1
    while count < cores:
        yield count
        count *= 2
    yield cores


def choose_threads(
    space: Space, device: DeviceInfo, meter_of: Callable[[int], Meter], *, seed: int = 0
) -> ThreadChoice:
    """Time the dense network and the first carriers on each number of threads; the least mean of logarithms wins.

    What is measured serves the search on that number of threads, too.
    """
    choices = probes(space, seed=seed)
    pace: dict[int, float] = {}
    dense_ms: dict[int, float] = {}
    for count in candidates(device):
        found = meter_of(count).time(choices)
        dense_ms[count] = found.dense_ms
        logs = [math.log(timing.ratio * found.dense_ms) for timing in found.timings] or [math.log(found.dense_ms)]
        pace[count] = math.fsum(logs) / len(logs)
    best_dense = min(dense_ms, key=dense_ms.__getitem__)
    return ThreadChoice(min(pace, key=pace.__getitem__), best_dense, dense_ms[best_dense])
