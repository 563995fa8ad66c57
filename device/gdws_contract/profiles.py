"""Time layer by layer."""

from __future__ import annotations

from typing import List, Optional

from pydantic import Field

from .base import Fraction, Name, NonNegative, Reading, Record, Sha256
from .engines import EngineOptions
from .queueing import Submission


class ProfileOptions(Record):
    """Asks for times layer by layer in place of the time of the whole."""

    iterations: int = Field(50, ge=1, le=10_000, description="Inferences that the times are taken over.")


class ProfileRequest(Submission):
    """Body of ``POST /profile``: one variant on one backend."""

    model_id: Sha256
    variant: Optional[Name] = Field(None, description="null: the baseline.")
    backend: Optional[Name] = Field(None, description="null: the best available.")
    precision: Name = "fp32"
    batch_size: int = Field(1, ge=1, le=65_536)
    options: ProfileOptions = Field(default_factory=ProfileOptions)
    engine: EngineOptions = Field(default_factory=EngineOptions)
    threads: Optional[int] = Field(
        None, ge=1, le=1_024, description="CPU threads; null: as many as the bundle was planned for, or one per core."
    )
    label: Optional[str] = Field(None, max_length=200, description="Free text kept with the result.")


class LayerTime(Reading):
    """One layer as the runtime ran it."""

    name: str = Field(description="The runtime's name; fused layers have all names.")
    source: Optional[str] = Field(None, description="The layer of the source network.")
    kind: Optional[str] = Field(None, description="What it does, in the runtime's terms.")
    mean_ms: NonNegative
    share: Fraction = Field(description="Of the time of all layers.")


class LayerProfile(Reading):
    """The layers of one variant in the order in which they ran. Profiling itself takes time: compare shares."""

    tool: str = Field(description="The profiler, e.g. 'TensorRT IProfiler'.")
    iterations: int = Field(gt=0)
    total_ms: NonNegative = Field(description="Sum of all layers, for one inference.")
    layers: List[LayerTime]
