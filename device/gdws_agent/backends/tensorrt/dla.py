"""Builds for a deep learning accelerator (DLA) of Xavier or Orin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from gdws_agent.errors import BuildFailed

from .options import BuilderOptions

if TYPE_CHECKING:
    from tensorrt import Builder, IBuilderConfig, INetworkDefinition

_HINT = "AGX Xavier, Xavier NX, AGX Orin and most of Orin NX have cores 0 and 1; without dla_core the GPU runs it all"


def configure_dla(trt: Any, builder: Builder, config: IBuilderConfig, options: BuilderOptions) -> None:
    """Make the accelerator that ``options`` name the place of every layer; nothing where they name none.

    Raises:
        BuildFailed: there is no such core here.
    """
    core = options.dla_core
    if core is None:
        return
    count = builder.num_DLA_cores
    if core >= count:
        found = f"this device has {count}, numbered from 0" if count else "this device has none"
        raise BuildFailed(f"DLA core {core} is asked for, and {found}", hint=_HINT)
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    if options.gpu_fallback:
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    else:
        config.clear_flag(trt.BuilderFlag.GPU_FALLBACK)


def candidates_in_words(trt: Any, config: IBuilderConfig, network: INetworkDefinition) -> str:
    """Return how many of the model's layers the accelerator could run, as ``config`` has it; weights are no layers."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    running: List[bool] = [config.can_run_on_DLA(layer) for layer in layers if layer.type != trt.LayerType.CONSTANT]
    return f"dla_candidates={sum(running)} of {len(running)} layers"
