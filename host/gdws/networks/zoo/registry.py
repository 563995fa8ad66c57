"""The networks this project knows by name, one file a family, and the weights it ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from gdws.errors import ModelError, UnknownNetwork
from gdws.networks.zoo import mobilenet, preact_resnet, resnet, robnet, vgg, wrn
from gdws.networks.zoo.network import Network
from gdws.networks.zoo.normalise import NORMALISATIONS, normalisation
from gdws.networks.zoo.size import Size, size

__all__ = [
    "NORMALISATIONS",
    "Network",
    "Size",
    "build",
    "info",
    "input_shape",
    "measure",
    "names",
    "pretrained_path",
]

_FAMILIES: tuple[tuple[Network, ...], ...] = (
    preact_resnet.NETWORKS,
    vgg.NETWORKS,
    wrn.NETWORKS,
    mobilenet.NETWORKS,
    resnet.NETWORKS,
    robnet.NETWORKS,
)
_WEIGHTS = Path(__file__).parent / "weights"
_NETWORKS = {network.name: network for family in _FAMILIES for network in family}


def names() -> list[str]:
    """The names that :func:`build` takes, sorted."""
    return sorted(_NETWORKS)


def info(name: str) -> Network:
    """The registered facts on a network; raises :class:`UnknownNetwork`."""
    try:
        return _NETWORKS[name]
    except KeyError:
        raise UnknownNetwork(f"there is no network {name!r}", hint=f"use one of: {', '.join(names())}") from None


def build(name: str, **options: Any) -> nn.Module:
    """A network with fresh weights drawn from torch's global generator. It takes pixels in [0, 1].

    ``options`` are those of the network's factory, e.g. ``width``, ``in_channels`` and ``classes``, and
    ``normalisation``: a name in :data:`NORMALISATIONS`, or ``{"mean": [...], "std": [...]}`` by channel. It becomes
    the first layer. Without it the network takes the pixels unchanged.
    Raises :class:`UnknownNetwork`, or :class:`ModelError` if an option does not exist or its value is invalid.
    """
    factory = info(name).factory
    of_factory = {key: value for key, value in options.items() if key != "normalisation"}
    try:
        model = factory(**of_factory)
        model.normalise = normalisation(options.get("normalisation"), input_shape(name, **options)[0])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be built with {options}: {error}") from error
    return model


def input_shape(name: str, **options: Any) -> tuple[int, int, int]:
    """(channels, height, width) of one image for a network built with ``options``; raises :class:`UnknownNetwork`."""
    channels, height, width = info(name).input_shape
    return options.get("in_channels", channels), height, width


def measure(name: str, **options: Any) -> Size:
    """Parameters and multiply-accumulates of a network, without memory for its weights; raises as :func:`build`."""
    with torch.device("meta"):
        return size(build(name, **options), input_shape(name, **options))


def pretrained_path(name: str) -> Path:
    """The file of the weights that ship for a network; raises :class:`UnknownNetwork`, or
    :class:`ModelError` if none ship for it."""
    path = _WEIGHTS / f"{info(name).name}.safetensors"
    if not path.exists():
        shipped = ", ".join(sorted(path.stem for path in _WEIGHTS.glob("*.safetensors")))
        raise ModelError(f"{name} has no shipped weights", hint=f"weights ship for: {shipped}")
    return path
