"""Comparison of two profiles by the layers of the source network."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from pydantic import Field

from gdws_contract.base import NonNegative, Reading
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import Cell, CellKey

#: Runtime layers that do not belong to one source layer: layout changes, pooling, and additions of the runtime.
NO_SOURCE = "(none)"


class SourceTime(NamedTuple):
    """What the layers of a runtime that came from one source layer take together."""

    nodes: int
    ms: float
    share: float


class LayerComparison(Reading):
    """One layer of the source network in both; null where a profile has none of it."""

    source: str
    a_ms: Optional[NonNegative]
    b_ms: Optional[NonNegative]
    a_share: Optional[NonNegative] = Field(description="Of the time of all layers.")
    b_share: Optional[NonNegative]


class ProfileComparison(Reading):
    """Two profiled networks. Profiling takes time itself, more the more layers there are: compare shares, too."""

    a: CellKey
    b: CellKey
    a_total_ms: NonNegative
    b_total_ms: NonNegative
    layers: Tuple[LayerComparison, ...] = Field(description="In the order in which A runs them, then what only B has.")


def by_source(layers: Sequence[LayerTime]) -> Dict[str, SourceTime]:
    """Return what each source layer takes, in the order in which they first run."""
    found: Dict[str, SourceTime] = {}
    for layer in layers:
        source = layer.source or NO_SOURCE
        nodes, ms, share = found.get(source, SourceTime(0, 0.0, 0.0))
        found[source] = SourceTime(nodes + 1, ms + layer.mean_ms, share + layer.share)
    return found


def compare_profiles(a: Sequence[Cell], b: Sequence[Cell]) -> Tuple[ProfileComparison, ...]:
    """Return the profiles of ``a`` beside those of ``b`` with the same key; where each has one, these two."""
    before = [(cell.key, cell.profile) for cell in a if cell.profile is not None]
    after = [(cell.key, cell.profile) for cell in b if cell.profile is not None]
    if len(before) == len(after) == 1:
        return (_compared(*before[0], *after[0]),)
    others = dict(after)
    return tuple(_compared(key, profile, key, others[key]) for key, profile in before if key in others)


def _compared(key_a: CellKey, a: LayerProfile, key_b: CellKey, b: LayerProfile) -> ProfileComparison:
    before, after = by_source(a.layers), by_source(b.layers)
    names: List[str] = list(dict.fromkeys([*before, *after]))
    return ProfileComparison(
        a=key_a,
        b=key_b,
        a_total_ms=a.total_ms,
        b_total_ms=b.total_ms,
        layers=tuple(
            LayerComparison(
                source=name,
                a_ms=before[name].ms if name in before else None,
                b_ms=after[name].ms if name in after else None,
                a_share=before[name].share if name in before else None,
                b_share=after[name].share if name in after else None,
            )
            for name in names
        ),
    )
