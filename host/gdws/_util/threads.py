"""Parallel work on many layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return ``function`` of each item, in order, computed in as many threads as torch uses.

    The last items are begun first: the layers of a network grow towards its end, and a large one begun last
    would keep all but one thread waiting. Threads suffice where numpy does the work: it lets go of the
    interpreter's lock meanwhile. The first exception in order is raised.
    """
    # numpy's BLAS has threads of its own, and calls from several threads wait for them in turn.
    alone = threadpool_limits(limits=1, user_api="blas")
    with alone, ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        begun = [pool.submit(function, item) for item in reversed(list(items))]
        return [future.result() for future in reversed(begun)]
