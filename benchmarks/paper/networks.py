"""From a network of the paper to weights: its public checkpoint, or the stand-in trained on the MNIST sample."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn
from torch.nn.utils import prune

from benchmarks.paper.rows import Network, Pruned, Row
from gdws import pipeline
from gdws.bundles.variant import Variant
from gdws.errors import ModelError
from gdws.networks import zoo as nets
from gdws.networks.sparsity import sizes
from gdws.pipeline import Alphas, Recipe, Source
from gdws.planning.budget import Beta, MeanRank

MNIST_NETWORKS = Path(__file__).resolve().parents[1] / "networks"


def public(network: Network, folder: Path) -> Source | None:
    """The network with the weights of its public checkpoint in ``folder``; None if that is not there.

    A pruned one loses the channels that it no longer needs, so that it is as fast as it can be.
    """
    path = folder / network.file
    return _narrowed(pipeline.load(str(path), network.net, **network.options)) if path.exists() else None


def stand_in(network: Network) -> Source | None:
    """The network that takes the place of ``network`` on the MNIST sample; None if there is none, or no weights."""
    if network.stand_in is None or (path := _mnist_weights(network.stand_in)) is None:
        return None
    source = pipeline.load(str(path))
    if network.stand_in_pruned is None:
        return source
    return _narrowed(replace(source, module=pruned(source.module, network.stand_in_pruned)))


def _narrowed(source: Source) -> Source:
    return pipeline.slimmed(source) if sizes(source.module).pruned else source


def _mnist_weights(name: str) -> Path | None:
    trained = MNIST_NETWORKS / f"{name}.safetensors"
    if trained.exists():
        return trained
    try:
        return nets.pretrained_path(name)
    except ModelError:
        return None


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


def recipe(row: Row, *, mnist: bool) -> Recipe | None:
    """How the row's network is made: by the paper's beta, a stand-in by its mean rank; None for a dense one."""
    if row.beta is None:
        return None
    return Recipe(MeanRank(row.stand_in_mean_rank)) if mnist else Recipe(Beta(row.beta))


def variants(source: Source, rows: Sequence[Row], alphas: Alphas | None, *, mnist: bool) -> Mapping[str, Variant]:
    """The networks of ``rows``, which are all about ``source``, and the dense one, by the rows' keys."""
    recipes = [made for row in rows if (made := recipe(row, mnist=mnist)) is not None]
    dense, *converted = pipeline.convert_all(source, recipes, weights=alphas)
    keys = [row.key for row in rows if row.beta is not None]
    return {rows[0].network.key: dense, **dict(zip(keys, converted, strict=True))}
