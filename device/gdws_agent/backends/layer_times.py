"""Totals of a profile -> what the contract calls layers. Pure."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

from gdws_contract.profiles import LayerTime


class Timed(NamedTuple):
    """One layer: the runtime's name and kind for it, and its time over all iterations."""

    name: str
    kind: Optional[str]
    total_ms: float


def layer_times(timed: Sequence[Timed], iterations: int) -> List[LayerTime]:
    """Return the layers in the same order with their times per iteration, in ms, and their shares of the sum."""
    whole_ms = sum(layer.total_ms for layer in timed)
    return [
        LayerTime(
            name=layer.name,
            kind=layer.kind,
            mean_ms=layer.total_ms / iterations,
            share=layer.total_ms / whole_ms if whole_ms else 0.0,
        )
        for layer in timed
    ]
