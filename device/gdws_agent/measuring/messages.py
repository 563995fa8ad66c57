"""The protocol between the agent and its measuring process: one JSON document a line.

The agent writes one :class:`WorkOrder` line to the worker's standard input and then holds that
pipe open: its end means that the agent is gone, and the worker exits at once, so that no orphan
is left measuring. The worker answers with :data:`Event` lines on the descriptor that
``--events-fd`` names, so that whatever an SDK prints to standard output cannot be mistaken for a
result. An order is one group: the cells that share backend, precision and batch size and are
measured interleaved. The worker exits with 0 when it has sent a cell for every variant.

A worker that dies or falls silent is judged by its last :class:`StageEvent`: the variant named
there is failed and the group is run again without it. So each stage names the variant that it
works on, and long stages send an event for each window.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Union

from pydantic import Field, TypeAdapter
from typing_extensions import Annotated, Literal

from gdws_contract.attacks import AttackedImage, AttackOptions, AttackProgress
from gdws_contract.base import Name, Record
from gdws_contract.engines import EngineOptions
from gdws_contract.findings.setting import Setting
from gdws_contract.pacing import Pacing
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import BatchSize, Cell, CellKey, PowerMode, Protocol
from gdws_contract.series import SeriesOptions


class WorkOrder(Record):
    """One group of cells to measure.

    ``batch_sizes`` are all of the request, for engines that serve several. ``power_mode`` and ``jetson_clocks``
    are in force already; ``power_mode_name`` is what the machine calls it. The agent watches over
    ``memory_limit_mib``. ``private`` are paths that the worker has no business with, save for its bundle and cache;
    ``confined`` is whether it gives up its rights to these, and others. ``attacked`` are the images of each variant
    that an attack is done with, from before an interruption.
    """

    job_id: Name
    bundle_path: str
    cache_dir: str
    backend: Name
    precision: Name
    batch_size: BatchSize
    variants: List[Name]
    protocol: Protocol
    batch_sizes: List[BatchSize] = Field(default_factory=list)
    engine: EngineOptions = Field(default_factory=EngineOptions)
    profile: Optional[ProfileOptions] = None
    attack: Optional[AttackOptions] = None
    attacked: Dict[Name, List[AttackedImage]] = Field(default_factory=dict)
    pacing: Optional[Pacing] = None
    series: Optional[SeriesOptions] = None
    power_sensor: Name = "none"
    power_mode: Optional[PowerMode] = None
    power_mode_name: Optional[str] = None
    jetson_clocks: Optional[bool] = None
    memory_limit_mib: Optional[int] = None
    private: List[str] = Field(default_factory=list)
    confined: bool = True

    def cell(self, variant: str) -> CellKey:
        """Return the key of this group's cell for ``variant``."""
        return Setting(self.backend, self.precision, self.batch_size, self.power_mode).cell(variant)


Stage = Literal[
    "waiting for the machine",
    "power-mode",
    "load",
    "rest",
    "build",
    "parity",
    "warm-up",
    "measure",
    "pace",
    "sustain",
    "profile",
    "attack",
]


class StageEvent(Record):
    """The worker begins a stage, of one ``variant`` if given. The first two stages are the agent's own."""

    event: Literal["stage"] = "stage"
    stage: Stage
    variant: Optional[Name] = None
    round: Optional[int] = None
    rounds: Optional[int] = None
    figures: Dict[str, float] = Field(default_factory=dict)
    attack: Optional[AttackProgress] = None


class AttackedEvent(Record):
    """The attack on the engine of ``variant`` is done with these images; the agent keeps them at once."""

    event: Literal["attacked"] = "attacked"
    variant: Name
    images: List[AttackedImage] = Field(min_length=1)


class CellEvent(Record):
    """A cell ended, successfully or not."""

    event: Literal["cell"] = "cell"
    cell: Cell


Event = Union[StageEvent, AttackedEvent, CellEvent]

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: bytes) -> Event:
    """Parse the event in one line of the worker.

    Raises:
        pydantic.ValidationError: the line is not an event.
    """
    return _EVENT.validate_json(line)
