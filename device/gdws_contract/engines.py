"""Options for building and running engines."""

from __future__ import annotations

from typing import Optional

from pydantic import Field
from typing_extensions import Literal

from .base import NonNegative, Record

BatchProfile = Literal["each", "all", "measured"]


class EngineOptions(Record):
    """Engine options. A backend ignores those that it does not support, and reports that with the build."""

    builds: int = Field(
        1,
        ge=1,
        le=20,
        description="Engines built for each cell; the one with the median latency is kept, the spread is reported.",
    )
    build_timeout_s: NonNegative = Field(1_800.0, gt=0, le=86_400, description="Time limit of one build.")
    optimization_level: Optional[int] = Field(
        None, ge=0, le=5, description="TensorRT's builder optimisation level (8.6 and newer); null: its default."
    )
    workspace_mib: Optional[int] = Field(
        None, ge=1, le=1_048_576, description="Memory that a build may use for its scratch space; null: its default."
    )
    batch_profile: BatchProfile = Field(
        "each",
        description="TensorRT: an engine for each batch size; one for all of the request; or, measured, both are built "
        "and timed at each batch size, and the faster one is kept.",
    )
    cuda_graph: bool = Field(False, description="TensorRT: capture the inference once and replay it as a CUDA graph.")
    dla_core: Optional[int] = Field(
        None, ge=0, le=7, description="TensorRT: run on this deep learning accelerator of Xavier or Orin."
    )
    gpu_fallback: bool = Field(True, description="Layers that the accelerator does not support run on the GPU.")
