"""The networks this project knows by name, one file a family, and the weights it ships."""

from __future__ import annotations

from gdws.networks.zoo.registry import (
    NORMALISATIONS,
    Network,
    Size,
    build,
    info,
    input_shape,
    measure,
    names,
    pretrained_path,
)

__all__ = ["NORMALISATIONS", "Network", "Size", "build", "info", "input_shape", "measure", "names", "pretrained_path"]
