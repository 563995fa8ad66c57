"""From a network of the paper to weights: its public checkpoint, or the network that takes its place."""

from __future__ import annotations

import lzma
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.paper.rows import Network
from gdws import pipeline
from gdws.errors import ModelError
from gdws.networks import zoo as nets
from gdws.networks.sparsity import sizes
from gdws.pipeline import Source

TRAINED = Path(__file__).resolve().parents[1] / "networks"
#: Of compressed weights: zeros of pruned networks take no room.
COMPRESSED = ".xz"


def public(network: Network, folder: Path) -> Source | None:
    """The network with the weights of its public checkpoint in ``folder``; None if that is not there.

    A pruned one loses the channels that it no longer needs, so that it is as fast as it can be.
    """
    path = folder / network.file
    return _narrowed(pipeline.load(str(path), network.net, **network.options)) if path.exists() else None


def stand_in(network: Network, kind: str) -> Source | None:
    """The network of a kind that takes the place of ``network``; None if there is none, or no weights."""
    weights = network.stand_ins.get(kind)
    if weights is None or (path := weights_path(weights)) is None:
        return None
    return _narrowed(replace(load(path), name=weights))


def weights_path(name: str, folder: Path = TRAINED) -> Path | None:
    """The file of the trained network ``name``, in ``folder`` or in the package; None if there is none."""
    for suffix in ("", COMPRESSED):
        path = folder / f"{name}.safetensors{suffix}"
        if path.exists():
            return path
    try:
        return nets.pretrained_path(name)
    except ModelError:
        return None


def load(path: Path) -> Source:
    """The network in a file of weights, which may be compressed."""
    if path.suffix != COMPRESSED:
        return pipeline.load(str(path))
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        plain.write_bytes(lzma.decompress(path.read_bytes()))
        return pipeline.load(str(plain))


def _narrowed(source: Source) -> Source:
    return pipeline.slimmed(source) if sizes(source.module).pruned else source
