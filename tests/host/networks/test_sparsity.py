from __future__ import annotations

import torch
from torch import nn

from gdws.networks.sparsity import sizes


def test_zeros_are_told_apart() -> None:
    network = nn.Linear(512, 512, bias=False)
    nn.init.ones_(network.weight)  # one in some million of random weights is zero
    dense = sizes(network)
    assert (dense.mib, dense.mib_non_zero, dense.pruned) == (1.0, 1.0, False)
    with torch.no_grad():
        network.weight[:256] = 0
    sparse = sizes(network)
    assert (sparse.mib, sparse.mib_non_zero, sparse.pruned) == (1.0, 0.5, True)


def test_a_shared_weight_counts_once_and_statistics_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3, bias=False))
    network[2].weight = nn.init.ones_(network[0].weight)
    found = sizes(network)
    assert (found.parameters, found.non_zero) == (36 + 4, 36 + 2)  # shifts of fresh normalisation are zero
