"""Requests and answers of the agent's REST interface."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Optional, Tuple, Union

from pydantic import Field, field_validator
from typing_extensions import Annotated, Literal

from .attacks import AttackOptions, AttackProgress, AttackResult
from .base import Name, NonNegative, Reading, Record, Sha256, distinct_items
from .engines import EngineOptions
from .manifest import Manifest
from .measures import Build, DeviceLatency, Flag, LatencySummary, Parity, Power, RoundSummary, SpeedUp, Sustained
from .memory import Memory
from .pacing import PacedResult, Pacing
from .problems import Problem
from .profiles import LayerProfile, ProfileOptions
from .queueing import Estimate, LeaseInfo, Notice, Submission
from .series import Series, SeriesOptions
from .thermal import Thermal

#: Client and agent must have this in common.
API_VERSION = 1
#: Counts what was added within the version; 1: priorities, limits, leases, idempotency keys, pages, the queue;
#: 2: HEAD, manifests on their own, jobs without rounds, and damaged bundles that say so; 3: comparisons;
#: 4: bundles of schema 2, jobs of any kind below /jobs, findings, and verdicts; 5: paced arrivals, memory, time series;
#: 6: attacks.
API_REVISION = 6

JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
CellState = Literal["done", "parity_failed", "failed"]

#: Final states of a job.
FINAL_STATES: Tuple[JobState, ...] = ("done", "failed", "cancelled", "interrupted")

BatchSize = Annotated[int, Field(ge=1, le=65_536)]
#: A mode of nvpmodel, by name or by number.
PowerMode = Union[Annotated[int, Field(ge=0, le=63)], Annotated[str, Field(min_length=1, max_length=64)]]


class Protocol(Record):
    """How each cell is measured; times are lower bounds unless a name says otherwise."""

    warmup_ms: NonNegative = Field(200.0, le=600_000, description="Minimum warm-up, continued until times are steady.")
    warmup_max_ms: NonNegative = Field(
        5_000.0, le=600_000, description="Maximum warm-up if times do not become steady."
    )
    min_duration_ms: NonNegative = Field(3_000.0, le=3_600_000, description="Measured time per cell, over all rounds.")
    min_iterations: int = Field(100, ge=1, le=10_000_000, description="Measured inferences per cell, over all rounds.")
    rounds: int = Field(
        10, ge=2, le=1_000, description="Windows per cell; variants are measured in turn in each round."
    )
    threads: Optional[int] = Field(
        None, ge=1, le=1_024, description="CPU threads; null: as many as the bundle was planned for, or one per core."
    )
    parity_tolerance: NonNegative = Field(1e-3, description="Largest logit difference over the largest host logit.")
    seed: int = Field(0, ge=0, description="Seed for the order of variants within the rounds.")
    idle_ms: NonNegative = Field(
        0.0, le=600_000, description="Idle time before each group, to measure the idle power; 0: not measured."
    )
    sustained_ms: NonNegative = Field(
        0.0,
        le=3_600_000,
        description="Then run each variant this long without a pause, to compare burst and sustained speed; 0: off.",
    )


class BenchmarkRequest(Submission):
    """Which cells to measure: power modes x variants x backends x precisions x batch sizes."""

    ADDED: ClassVar[Tuple[str, ...]] = (*Submission.ADDED, "pacing", "series", "attack")

    model_id: Sha256
    variants: Optional[List[Name]] = Field(None, min_length=1, max_length=64, description="null: all.")
    backends: Optional[List[Name]] = Field(None, min_length=1, max_length=16, description="null: the best available.")
    precisions: List[Name] = Field(default_factory=lambda: ["fp32"], min_length=1, max_length=8)
    batch_sizes: List[BatchSize] = Field(default_factory=lambda: [1], min_length=1, max_length=32)
    power_modes: Optional[List[PowerMode]] = Field(
        None, min_length=1, max_length=16, description="nvpmodel modes, by name or number; null: the current mode."
    )
    jetson_clocks: Optional[bool] = Field(
        None, description="true: fix the clocks at their maximum; false: let them vary; null: unchanged."
    )
    engine: EngineOptions = Field(default_factory=EngineOptions)
    profile: Optional[ProfileOptions] = Field(None, description="Time the layers instead of the whole network.")
    attack: Optional[AttackOptions] = Field(None, description="Attack each engine instead of timing it.")
    protocol: Protocol = Field(default_factory=Protocol)
    pacing: Optional[Pacing] = Field(None, description="Paced inferences after the rounds, with deadlines.")
    series: Optional[SeriesOptions] = Field(None, description="Keep readings over time in each cell.")
    label: Optional[str] = Field(None, max_length=200, description="Free text stored with the result.")

    @field_validator("variants", "backends", "precisions", "batch_sizes", "power_modes")
    @classmethod
    def _distinct(cls, values: Optional[List[Any]]) -> Optional[List[Any]]:
        return distinct_items(values)

    @property
    def is_timed(self) -> bool:
        """Whether whole networks are timed, in turns; otherwise something else is done to each by itself."""
        return self.profile is None and self.attack is None


class Availability(Reading):
    """Whether a backend or sensor can be used here, and if not, why and what would help."""

    name: Name
    available: bool
    reason: Optional[str] = None
    version: Optional[str] = None
    precisions: List[str] = Field(default_factory=list)
    detail: Dict[str, str] = Field(default_factory=dict)


class DeviceInfo(Reading):
    """The machine that the agent runs on. Unknown is null."""

    agent_version: str
    api_version: int
    api_revision: int = 0
    board: Optional[str] = Field(None, description="Jetson module, or null on other machines.")
    l4t: Optional[str] = None
    hostname: str
    os: str
    kernel: str
    machine: str = Field(description="Instruction set, e.g. aarch64.")
    python: str
    cpu_model: Optional[str] = None
    physical_cores: Optional[int] = None
    logical_cores: Optional[int] = None
    memory_total_bytes: Optional[int] = None
    memory_available_bytes: Optional[int] = None
    simulated: bool = False
    backends: List[Availability]
    power_sensors: List[Availability]
    notices: List[Notice] = Field(default_factory=list, description="What its administrator should know.")


class Alive(Reading):
    """Answer of ``GET /healthz`` to somebody without a token, at an agent that needs one."""

    status: Literal["ok"] = "ok"


class Health(Reading):
    """Answer of ``GET /healthz``."""

    status: Literal["ok"] = "ok"
    agent_version: str
    api_version: int
    api_revision: int = 0
    queued_jobs: int
    running_job: Optional[str] = None
    access: Optional[Literal["full", "read-only"]] = Field(None, description="Access of the client.")
    notices: List[Notice] = Field(default_factory=list, description="What its administrator should know.")


class ModelInfo(Reading):
    """A stored bundle."""

    id: Sha256
    name: Name
    size_bytes: int
    created_at: str = Field(description="UTC, ISO 8601: when the agent stored it.")
    baseline: Name
    variants: List[Name]
    manifest: Optional[Manifest] = Field(
        None, description="Only in GET /models/{id}, in the bundle's own schema version."
    )


class ModelList(Reading):
    """Answer of ``GET /models``."""

    models: List[ModelInfo]
    next_cursor: Optional[str] = Field(None, description="Cursor of the next page; null: there is none.")


class CellKey(Record):
    """What one cell measures."""

    variant: Name
    backend: Name
    precision: Name
    batch_size: BatchSize
    power_mode: Optional[PowerMode] = Field(None, description="As in the request; null: the current mode.")


class Cell(Reading):
    """The result of one cell. Without ``latency`` there was no timing, and ``error`` or ``parity`` says why."""

    key: CellKey
    state: CellState
    simulated: bool = False
    started_at: Optional[str] = None
    finished_at: Optional[str] = None
    build: Optional[Build] = None
    parity: Optional[Parity] = None
    latency: Optional[LatencySummary] = None
    fps: Optional[NonNegative] = Field(None, description="Images per second: batch size / mean latency.")
    rounds: List[RoundSummary] = Field(default_factory=list)
    speedup: Optional[SpeedUp] = Field(None, description="null for the baseline and where it was not measured.")
    device_latency: Optional[DeviceLatency] = Field(None, description="If the runtime has device events.")
    sustained: Optional[Sustained] = None
    paced: Optional[PacedResult] = Field(None, description="Where the request has `pacing`.")
    memory: Optional[Memory] = Field(None, description="null in results of agents before revision 5.")
    series: Optional[Series] = Field(None, description="Where the request has `series`.")
    power: Optional[Power] = None
    power_mode: Optional[str] = Field(None, description="Name of the nvpmodel mode in force; null: not known.")
    jetson_clocks: Optional[bool] = Field(None, description="Whether the clocks were fixed; null: not known.")
    thermal: Optional[Thermal] = None
    profile: Optional[LayerProfile] = None
    attack: Optional[AttackResult] = None
    flags: List[Flag] = Field(default_factory=list)
    error: Optional[Problem] = None
    environment: Dict[str, Any] = Field(default_factory=dict, description="Versions, threads, settings of the worker.")


class Progress(Reading):
    """The progress of a running job."""

    cells_total: int
    cells_finished: int
    stage: Optional[str] = Field(None, description="load, build, parity, warm-up, measure, …")
    cell: Optional[CellKey] = None
    round: Optional[int] = None
    rounds: Optional[int] = None
    attack: Optional[AttackProgress] = Field(None, description="How far the attack on this cell's engine is.")


class Job(Reading):
    """A benchmark: queued, running or ended."""

    id: Name
    state: JobState
    request: BenchmarkRequest
    created_at: str
    started_at: Optional[str] = None
    finished_at: Optional[str] = None
    queue_position: Optional[int] = Field(None, description="0 is next; null once it has left the queue.")
    estimate: Optional[Estimate] = Field(None, description="null once it has ended.")
    lease_holder: Optional[str] = Field(
        None, description="Holder of the lease under which it was submitted; null: none."
    )
    waits_for_lease: bool = Field(False, description="It waits because another client holds the device.")
    run_s: NonNegative = Field(0.0, description="Total measuring time up to its last cell, over restarts.")
    progress: Progress
    cells: List[Cell] = Field(default_factory=list, description="Finished cells, in order of finishing.")
    error: Optional[Problem] = Field(None, description="Why the job failed as a whole.")


class JobList(Reading):
    """Answer of ``GET /benchmark``: newest first, without cells."""

    jobs: List[Job]
    next_cursor: Optional[str] = Field(None, description="Cursor of the next page; null: there is none.")


class Queue(Reading):
    """Answer of ``GET /queue``: what the device does, and what comes next."""

    running: Optional[Job] = Field(None, description="With its cells.")
    queued: List[Job] = Field(description="Without cells, in the order in which they will run.")
    queued_total: int
    queued_limit: int = Field(description="Maximum number of queued jobs; more are rejected.")
    lease: Optional[LeaseInfo] = None


class BenchmarkResult(Reading):
    """What a client keeps: the job with its cells, the device and the bundle's manifest.

    History of the schema:
        1   first version.
        2   a manifest of schema 2; parity output by output.
    """

    schema_version: Literal[2] = 2
    job: Job
    device: DeviceInfo
    manifest: Manifest
    saved_at: str
    partial: bool = Field(False, description="True when the client stopped before the job ended.")

    @field_validator("schema_version", mode="before")
    @classmethod
    def _upgraded(cls, version: Any) -> Any:
        """What schema 2 added has defaults, and the manifest upgrades itself."""
        return 2 if version == 1 else version
