"""What the agent and its measuring process say to each other: one JSON document a line.

The agent writes one :class:`WorkOrder` to the worker's standard input and closes it. The
worker answers with :class:`Event` lines on the descriptor that ``--events-fd`` names, so that
whatever an SDK prints to standard output cannot be mistaken for a result. An order is one
group: the cells that share backend, precision and batch size and are measured interleaved.
"""

from __future__ import annotations

from typing import Dict, List, Optional

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.base import Name, Record
from gdws_contract.rest import BatchSize, Cell, CellKey, Protocol


class WorkOrder(Record):
    """One group of cells to measure."""

    job_id: Name
    bundle_path: str
    cache_dir: str
    backend: Name
    precision: Name
    batch_size: BatchSize
    variants: List[Name]
    protocol: Protocol
    power_sensor: Name = "none"

    def cell(self, variant: str) -> CellKey:
        """Return the key of this group's cell for ``variant``."""
        return CellKey(variant=variant, backend=self.backend, precision=self.precision, batch_size=self.batch_size)


class StageEvent(Record):
    """The worker begins a stage; ``variant`` is whose, where it is one variant's."""

    event: Literal["stage"] = "stage"
    stage: Literal["load", "build", "parity", "warm-up", "measure"]
    variant: Optional[Name] = None
    round: Optional[int] = None
    rounds: Optional[int] = None
    figures: Dict[str, float] = Field(default_factory=dict)


class CellEvent(Record):
    """A cell ended, well or not."""

    event: Literal["cell"] = "cell"
    cell: Cell
