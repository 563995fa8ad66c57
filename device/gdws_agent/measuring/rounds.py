"""The order of the variants in each round."""

from __future__ import annotations

import random
from typing import List


def round_orders(count: int, rounds: int, seed: int) -> List[List[int]]:
    """Return ``rounds`` orders of the numbers 0 to ``count`` - 1, at least one.

    What ran before leaves its traces in caches, clocks and heat. So the orders go through a balanced square
    (Williams, 1949): over one pass of it every variant stands equally often in every place, and follows every
    other equally often. A pass is ``count`` rounds for an even count and twice as many for an odd one. ``seed``
    decides which variant bears which number of the square.
    """
    labels = list(range(count))
    random.Random(seed).shuffle(labels)
    square = williams_square(count)
    return [[labels[number] for number in square[index % len(square)]] for index in range(rounds)]


def williams_square(count: int) -> List[List[int]]:
    """Return the rows of a Williams square of ``count`` numbers; an odd count needs the mirrored rows too."""
    zigzag = [(count - step // 2) % count if step % 2 == 0 else (step + 1) // 2 for step in range(count)]
    rows = [[(number + shift) % count for number in zigzag] for shift in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]
