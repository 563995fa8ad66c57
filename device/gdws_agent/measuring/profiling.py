"""Maps the layers of a runtime to layers of the source network, with shares and sum. Pure functions.

Nodes of a bundle are named ``<path of the module>/<operator>``, and a converted layer's parts lie below its path:
``layer1.0.conv1.depthwise.conv/Conv`` and ``layer1.0.conv1.pointwise/Conv`` came from ``layer1.0.conv1``. Runtimes
fuse nodes, and write the names of all into one: ``conv1/Conv + bn1/BatchNormalization``,
``{ForeignNode[a/Conv...b/Gemm]}``, ``Reformatting CopyNode for Input Tensor 0 to conv1/Conv``.
"""

from __future__ import annotations

import re
from typing import AbstractSet, Iterable, List, Optional, Sequence

from gdws_contract.profiles import LayerProfile, LayerTime

#: Separators of runtimes between the names of fused nodes; no name contains any.
_BETWEEN_NAMES = re.compile(r"\.{3}|[\s()\[\]{},|+]+")


def layer_profile(tool: str, iterations: int, layers: Sequence[LayerTime], source_names: Sequence[str]) -> LayerProfile:
    """Return the profile of ``layers``, in their order, with sources, shares and the sum filled in.

    ``tool`` is what took the times, averaged over ``iterations`` inferences. ``source_names`` are the paths of the
    layers that conversion looks at, e.g. those in a plan. Sources that a backend named itself are kept.
    """
    total_ms = sum(layer.mean_ms for layer in layers)
    sources = frozenset(source_names)
    return LayerProfile(
        tool=tool,
        iterations=iterations,
        total_ms=total_ms,
        layers=[
            layer.model_copy(
                update={
                    "source": layer.source or source_of(layer.name, sources),
                    "share": layer.mean_ms / total_ms if total_ms else 0.0,
                }
            )
            for layer in layers
        ],
    )


def source_of(name: str, sources: AbstractSet[str]) -> Optional[str]:
    """Return the layers that the runtime's layer ``name`` came from, joined by `` + `` in their order; None if no one.

    Those in ``sources``, where there are any: what a runtime fuses into a convolution is counted with it. Else the
    modules whose paths are in the name, such as a batch normalisation.
    """
    paths = list(_module_paths(name))
    known = [source for source in (_longest_known(path, sources) for path in paths) if source is not None]
    return " + ".join(dict.fromkeys(known or paths)) or None


def _module_paths(name: str) -> Iterable[str]:
    """Yield the part before the operator of each node named in ``name``; a node of the network itself has none."""
    for piece in _BETWEEN_NAMES.split(name):
        path, slash, _ = piece.strip("/").rpartition("/")
        if slash:
            yield path


def _longest_known(path: str, sources: AbstractSet[str]) -> Optional[str]:
    parts: List[str] = path.split(".")
    for count in range(len(parts), 0, -1):
        candidate = ".".join(parts[:count])
        if candidate in sources:
            return candidate
    return None
