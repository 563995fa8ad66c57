"""Rows of a profile -> the layers of the network that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdws.planning.search.evidence import LayerShare, Profile
from gdws.planning.search.space import Choice, Space
from gdws_contract.profiles import LayerTime


def attribute(space: Space, choice: Choice, rows: Sequence[LayerTime]) -> Profile:
    """Where a network spends its time, from the ``rows`` of its profile in the order in which they ran.

    A row belongs to the layer that its source names. What a runtime inserts without a name, such as the conversion of
    a layout, belongs to the layer that runs next, or else to the one before: it is there because of how that runs. A
    row that was fused of several layers cannot be divided: it counts as the rest, and is named.
    """
    holders = {user: layer.name for layer in space.layers for user in layer.users}
    owners = [_owners(row, holders) for row in rows]
    ms = dict.fromkeys(holders.values(), 0.0)
    nodes = dict.fromkeys(holders.values(), 0)
    rest_ms, rest_nodes, unmapped = 0.0, 0, []
    for index, row in enumerate(rows):
        found = owners[index] if row.source is not None else _neighbours(rows, owners, index)
        if len(found) == 1:
            ms[found[0]] += row.mean_ms
            nodes[found[0]] += 1
            continue
        rest_ms += row.mean_ms
        rest_nodes += 1
        if len(found) > 1:
            unmapped.append(row.name)
    shares = {name: LayerShare(ms[name], nodes[name]) for name in ms if nodes[name]}
    return Profile(choice, shares, LayerShare(rest_ms, rest_nodes), tuple(unmapped))


def _owners(row: LayerTime, holders: Mapping[str, str]) -> list[str]:
    """The layers of the space that a row came from."""
    if row.source is None:
        return []
    return list(dict.fromkeys(holders[name] for name in row.source.split(" + ") if name in holders))


def _neighbours(rows: Sequence[LayerTime], owners: Sequence[list[str]], index: int) -> list[str]:
    """The layer of the next row with a source, or else of the one before; empty where neither is of the space."""
    after = next((owners[place] for place in range(index + 1, len(rows)) if rows[place].source is not None), [])
    before = next((owners[place] for place in range(index - 1, -1, -1) if rows[place].source is not None), [])
    return after if len(after) == 1 else before if len(before) == 1 else []
