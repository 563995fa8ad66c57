"""From a network of the paper to weights: its public checkpoint, or the network that takes its place."""

from __future__ import annotations

import copy
import lzma
import tempfile
from dataclasses import replace
from pathlib import Path

from torch import nn
from torch.nn.utils import prune

from benchmarks.paper.rows import Network, Pruned
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
    chosen = network.stand_ins.get(kind)
    if chosen is None or (path := weights_path(chosen.weights)) is None:
        return None
    source = replace(load(path), name=chosen.weights)
    if chosen.pruned is not None:
        source = replace(source, module=pruned(source.module, chosen.pruned))
    return _narrowed(source)


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


def pruned(network: nn.Module, how: Pruned) -> nn.Module:
    """A copy of ``network``, a share of each convolution but the first set to zero, by the size of its weights.

    It is not trained again, so the columns are filled and the accuracies are no claim about pruning.
    """
    copied = copy.deepcopy(network)
    _, *convolutions = [module for module in copied.modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions:
        if how.what == "channels":
            prune.ln_structured(convolution, "weight", how.share, n=2, dim=0)
        else:
            prune.l1_unstructured(convolution, "weight", how.share)
        prune.remove(convolution, "weight")
    return copied
