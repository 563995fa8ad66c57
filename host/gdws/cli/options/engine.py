"""Options for building and running engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from gdws.cli.options.agents import given
from gdws.cli.options.groups import panel

_engine = panel("Engine options (TensorRT)")


@dataclass(frozen=True)
class EngineOptions:
    """Options of the engine's builder; the contract's defaults apply to those not given."""

    optimization_level: Annotated[
        int | None,
        _engine(
            "--optimization-level",
            metavar="0-5",
            help="The builder's search effort (TensorRT 8.6 and newer). Default: TensorRT's, 3.",
        ),
    ] = None
    workspace: Annotated[
        int | None, _engine("--workspace", metavar="MIB", help="Scratch memory of a build. Default: the backend's.")
    ] = None
    dla_core: Annotated[
        int | None,
        _engine("--dla-core", metavar="N", help="Run on this DLA core (fp16, int8). Default: the GPU."),
    ] = None
    gpu_fallback: Annotated[
        bool,
        _engine(
            "--gpu-fallback/--no-gpu-fallback", help="Whether layers that the DLA does not support may run on the GPU."
        ),
    ] = True

    def engine(self) -> dict[str, Any]:
        """The fields of :class:`gdws_contract.engines.EngineOptions` that were given."""
        return given(
            optimization_level=self.optimization_level,
            workspace_mib=self.workspace,
            dla_core=self.dla_core,
            gpu_fallback=self.gpu_fallback,
        )


@dataclass(frozen=True)
class BuildOptions(EngineOptions):
    """Further options for comparing engines."""

    builds: Annotated[
        int | None,
        _engine(
            "--builds",
            metavar="K",
            help="Build K engines, keep the one with the median latency, report the spread. Default: 1.",
        ),
    ] = None
    build_timeout: Annotated[
        float | None, _engine("--build-timeout", metavar="SECONDS", help="Time limit of a build. Default: 1800.")
    ] = None
    batch_profile: Annotated[
        str | None,
        _engine(
            "--batch-profile",
            metavar="each|all|measured",
            help="One engine for each batch size, one for all, or the faster of both at each batch size.",
        ),
    ] = None
    cuda_graph: Annotated[
        bool, _engine("--cuda-graph", help="Capture an inference once and replay it, which reduces CPU overhead.")
    ] = False

    def engine(self) -> dict[str, Any]:
        """As for the base class, with the options of a benchmark."""
        return super().engine() | given(
            builds=self.builds,
            build_timeout_s=self.build_timeout,
            batch_profile=self.batch_profile,
            cuda_graph=self.cuda_graph,
        )
