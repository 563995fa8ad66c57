"""How engines are built and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gdws.cli.options.agents import given

_ENGINE = "How engines are built and run (TensorRT)"


@dataclass(frozen=True)
class EngineOptions:
    """Options of the engine's builder; the contract has a default for what is not given."""

    optimization_level: Annotated[
        int | None,
        typer.Option(
            "--optimization-level",
            metavar="0-5",
            help="How hard the builder looks for fast kernels (8.6 and newer). Default: TensorRT's, 3.",
            rich_help_panel=_ENGINE,
        ),
    ] = None
    workspace: Annotated[
        int | None,
        typer.Option(
            "--workspace",
            metavar="MIB",
            help="Scratch memory of a build. Default: the backend's.",
            rich_help_panel=_ENGINE,
        ),
    ] = None
    dla_core: Annotated[
        int | None,
        typer.Option(
            "--dla-core",
            metavar="N",
            help="Run on this deep learning accelerator (fp16, int8). Default: the GPU.",
            rich_help_panel=_ENGINE,
        ),
    ] = None
    gpu_fallback: Annotated[
        bool,
        typer.Option(
            "--gpu-fallback/--no-gpu-fallback",
            help="Whether layers that the accelerator cannot run may go to the GPU.",
            rich_help_panel=_ENGINE,
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
    """What matters besides where engines are compared with each other."""

    builds: Annotated[
        int | None,
        typer.Option(
            "--builds",
            metavar="K",
            help="Build K engines, keep that of median latency, tell the spread. Default: 1.",
            rich_help_panel=_ENGINE,
        ),
    ] = None
    build_timeout: Annotated[
        float | None,
        typer.Option(
            "--build-timeout",
            metavar="SECONDS",
            help="Give up one build after this. Default: 1800.",
            rich_help_panel=_ENGINE,
        ),
    ] = None
    batch_profile: Annotated[
        str | None,
        typer.Option(
            "--batch-profile",
            metavar="each|all|measured",
            help="An engine for each batch size, one for all, or the faster of both at each batch size.",
            rich_help_panel=_ENGINE,
        ),
    ] = None
    cuda_graph: Annotated[
        bool,
        typer.Option(
            "--cuda-graph",
            help="Capture an inference once and replay it: less work for the CPU at each.",
            rich_help_panel=_ENGINE,
        ),
    ] = False

    def engine(self) -> dict[str, Any]:
        """As for the base, with what only a benchmark takes."""
        return super().engine() | given(
            builds=self.builds,
            build_timeout_s=self.build_timeout,
            batch_profile=self.batch_profile,
            cuda_graph=self.cuda_graph,
        )
