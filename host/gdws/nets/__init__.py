"""The networks this project knows by name, one file a family, and the weights it ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from gdws.errors import ModelError, UnknownNetwork
from gdws.nets import preact_resnet
from gdws.nets.network import Network

__all__ = ["Network", "build", "info", "names", "pretrained", "pretrained_path"]

_FAMILIES: tuple[tuple[Network, ...], ...] = (preact_resnet.NETWORKS,)
_WEIGHTS = Path(__file__).parent / "weights"
_NETWORKS = {network.name: network for family in _FAMILIES for network in family}


def names() -> list[str]:
    """The names that :func:`build` takes, sorted."""
    return sorted(_NETWORKS)


def info(name: str) -> Network:
    """What is known of a network; raises :class:`UnknownNetwork`."""
    try:
        return _NETWORKS[name]
    except KeyError:
        raise UnknownNetwork(f"no network is called {name!r}", hint=f"one of: {', '.join(names())}") from None


def build(name: str, **options: Any) -> nn.Module:
    """A network with fresh weights drawn from torch's global generator.

    ``options`` are those of the network's factory, e.g. ``width`` and ``classes``.
    Raises :class:`UnknownNetwork`, or :class:`ModelError` if an option does not exist or has no legal value.
    """
    factory = info(name).factory
    try:
        return factory(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be built with {options}: {error}") from error


def pretrained(name: str) -> nn.Module:
    """A network with the weights that ship with this package, on the CPU, in evaluation mode.

    Raises :class:`UnknownNetwork`, or :class:`ModelError` if none ship for it.
    """
    from gdws import checkpoints  # builds networks by name itself

    return checkpoints.load(pretrained_path(name))


def pretrained_path(name: str) -> Path:
    """The file of the weights that ship for a network; raises as :func:`pretrained`."""
    path = _WEIGHTS / f"{info(name).name}.safetensors"
    if not path.exists():
        shipped = ", ".join(sorted(path.stem for path in _WEIGHTS.glob("*.safetensors")))
        raise ModelError(f"no weights ship for {name}", hint=f"weights ship for: {shipped}")
    return path
