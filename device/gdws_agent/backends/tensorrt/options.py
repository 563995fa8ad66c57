"""Options of a request for TensorRT's builder, and their description. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, NamedTuple, Optional

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.engine_choices import DEFAULT_WORKSPACE_MIB, workspace_mib

#: TensorRT's own default, stated so that another release does not change it unnoticed.
_DEFAULT_LEVEL = 3


class Batches(NamedTuple):
    """The batch sizes that one engine serves, and the one that its kernels are chosen for."""

    smallest: int
    tuned: int
    largest: int

    @classmethod
    def of(cls, spec: EngineSpec) -> Batches:
        """Return the spec's batch size alone, or with the batch profile ``all`` those of the request.

        The kernels are then chosen for the middle one, of two the smaller. A DLA runs one batch size alone.
        """
        if not is_dynamic(spec):
            return cls(spec.batch_size, spec.batch_size, spec.batch_size)
        sizes = sorted({spec.batch_size, *spec.batch_sizes})
        return cls(sizes[0], sizes[(len(sizes) - 1) // 2], sizes[-1])

    def in_words(self) -> str:
        """Return e.g. ``profile=batch 1 to 16, tuned for 4``."""
        if self.smallest == self.largest:
            return f"profile=batch {self.smallest} alone"
        return f"profile=batch {self.smallest} to {self.largest}, tuned for {self.tuned}"


def is_dynamic(spec: EngineSpec) -> bool:
    """Return whether one engine is to serve all batch sizes of the request."""
    return spec.options.batch_profile == "all" and spec.options.dla_core is None


@dataclass(frozen=True)
class BuilderOptions:
    """What shapes the choice of kernels. Fixed, so that it does not depend on what else the machine is doing.

    ``avg_timing_iterations``: runs per kernel tried, as many as trtexec makes; more make the choice steadier.
    """

    batches: Batches
    workspace_bytes: int = DEFAULT_WORKSPACE_MIB * 2**20
    optimization_level: Optional[int] = None
    avg_timing_iterations: int = 8
    dla_core: Optional[int] = None
    gpu_fallback: bool = True

    @classmethod
    def of(cls, spec: EngineSpec) -> BuilderOptions:
        """Return what ``spec`` asks for, and this backend's defaults where it asks for nothing."""
        asked = spec.options
        return cls(
            batches=Batches.of(spec),
            workspace_bytes=workspace_mib(asked) * 2**20,
            optimization_level=asked.optimization_level,
            dla_core=asked.dla_core,
            gpu_fallback=asked.gpu_fallback,
        )

    @property
    def level(self) -> int:
        """The builder's optimisation level, for releases that have levels."""
        return _DEFAULT_LEVEL if self.optimization_level is None else self.optimization_level

    def in_words(self, trt: Any) -> List[str]:
        """Return them as name=value, with a note on those that were asked for and this release of TensorRT lacks."""
        words = [
            f"workspace_mib={self.workspace_bytes // 2**20}",
            f"avg_timing={self.avg_timing_iterations}",
            self.batches.in_words(),
        ]
        if has_levels(trt):
            words.append(f"builder_optimization_level={self.level}")
        elif self.optimization_level is not None:
            words.append(f"builder_optimization_level=not set, TensorRT {trt.__version__} has none")
        if self.dla_core is not None:
            words += [f"dla_core={self.dla_core}", f"gpu_fallback={int(self.gpu_fallback)}"]
        return words


def has_levels(trt: Any) -> bool:
    """Return whether the builder of this release has optimisation levels: 8.6 and later."""
    return hasattr(trt.IBuilderConfig, "builder_optimization_level")
