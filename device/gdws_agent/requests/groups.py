"""Division of a request into groups, and the remaining work of a group. Pure functions.

A group is the cells that share power mode, backend, precision and batch size. Where its variants are measured
interleaved, the group, not the cell, is the unit that is resumed.
"""

from __future__ import annotations

from itertools import product
from typing import Collection, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from gdws_contract.findings.setting import Setting
from gdws_contract.rest import BenchmarkRequest, Cell, CellKey, CellState, PowerMode


class Group(NamedTuple):
    """The cells that share everything but the variant."""

    backend: str
    precision: str
    batch_size: int
    variants: Tuple[str, ...]
    power_mode: Optional[PowerMode] = None
    interleaved: bool = True

    def cell(self, variant: str) -> CellKey:
        """Return the key of this group's cell for ``variant``."""
        return Setting(self.backend, self.precision, self.batch_size, self.power_mode).cell(variant)

    def states(self, cells: Sequence[Cell]) -> Mapping[str, CellState]:
        """Return {variant: state} of those ``cells`` that belong to this group."""
        return {cell.key.variant: cell.state for cell in cells if cell.key == self.cell(cell.key.variant)}


def plan_groups(request: BenchmarkRequest) -> Iterator[Group]:
    """Yield the groups of a resolved ``request`` in the order in which they are measured.

    Power modes change least often: each change takes the machine seconds to settle.

    Raises:
        ValueError: variants or backends are not resolved yet.
    """
    if request.variants is None or request.backends is None:
        raise ValueError("the request is not resolved")
    modes: List[Optional[PowerMode]] = [None] if request.power_modes is None else list(request.power_modes)
    for mode, backend, precision, batch_size in product(
        modes, request.backends, request.precisions, request.batch_sizes
    ):
        yield Group(backend, precision, batch_size, tuple(request.variants), mode, interleaved=request.is_timed)


def count_cells(request: BenchmarkRequest) -> int:
    """Return the number of cells of a resolved ``request``."""
    return sum(len(group.variants) for group in plan_groups(request))


def variants_to_run(states: Mapping[str, CellState], group: Group, given_up: Collection[str] = ()) -> List[str]:
    """Return the variants of ``group`` that a worker must measure now, in the group's order.

    None, when each has ended. Else those that have not ended, and where they are interleaved with them those that
    were measured before an interruption: ratios hold only between variants that took turns. What failed is not tried
    again, nor is what was ``given_up``.
    """
    left = [variant for variant in group.variants if variant not in states and variant not in given_up]
    if not left or not group.interleaved:
        return left
    return [variant for variant in group.variants if states.get(variant, "done") == "done" and variant not in given_up]


def to_blame(running: Sequence[str], ended: Collection[str], last_named: Optional[str]) -> List[str]:
    """Return the variants to fail after the worker died or hung.

    The one that its last stage named, so that the others can be run without it. All that had not ended, where
    no such variant is known: nothing says which of them could be run again.
    """
    pending = [variant for variant in running if variant not in ended]
    return [last_named] if last_named in pending else pending
