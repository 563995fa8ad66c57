"""Moments without unfolding against those of unfolded patches."""

import numpy as np
import pytest
import torch
from torch import nn

from gdws.compression.calibration.gradient_norms import Call
from gdws.compression.fitting.patch_moments import PatchMoments, channel_moments
from support.plain_data_aware import by_position, patches

CONVOLUTIONS = {
    "usual": {"kernel_size": 3, "padding": 1},
    "no padding": {"kernel_size": 3},
    "strided": {"kernel_size": 3, "padding": 1, "stride": 2},
    "strided by more than the filter": {"kernel_size": 2, "stride": 3},
    "uneven": {"kernel_size": (3, 5), "padding": (1, 2), "stride": (2, 1)},
    "one row": {"kernel_size": (1, 3), "padding": (0, 1)},
    "one column": {"kernel_size": (5, 1), "padding": (2, 0)},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "dilated and strided": {"kernel_size": 3, "padding": 4, "dilation": (2, 3), "stride": (3, 2)},
    "reflecting": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    "circular, same": {"kernel_size": 4, "padding": "same", "padding_mode": "circular"},
    "as large as the image": {"kernel_size": (9, 8)},
}


@pytest.fixture(params=CONVOLUTIONS)
def convolution(request):
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, **CONVOLUTIONS[request.param]).requires_grad_(False)


def batches(sizes=(2, 3)):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, 3, 9, 8, generator=generator) for size in sizes]


def test_they_are_those_of_unfolded_patches(convolution):
    found, x, y = PatchMoments(tuple(convolution.weight.shape)), [], []
    for batch in batches():
        output = convolution(batch)
        found.add(convolution, batch, output)
        x.append(patches(convolution, batch, output).double())
        y.append(by_position(output).double())
    columns, targets, mean = torch.cat(x, 1), torch.cat(y, 1), found.mean()
    assert mean.count == columns.shape[1]
    for name, wanted in {
        "xx": columns @ columns.T / mean.count,
        "yx": targets @ columns.T / mean.count,
        "yy": targets.square().sum() / mean.count,
        "x": columns.mean(1),
        "y": targets.mean(1),
    }.items():
        np.testing.assert_allclose(getattr(mean, name), wanted.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_within_a_channel_they_are_the_blocks_on_the_diagonal(convolution):
    [batch] = batches([4])
    call = Call.of(convolution, batch, convolution(batch))
    columns = patches(convolution, batch, convolution(batch)).double().unflatten(0, (3, -1))
    np.testing.assert_allclose(channel_moments(call), columns @ columns.mT, rtol=1e-4, atol=1e-5)


def test_a_network_in_double_keeps_its_precision(convolution):
    found, [batch] = PatchMoments(tuple(convolution.weight.shape)), batches([2])
    output = convolution.double()(batch.double())
    found.add(convolution, batch.double(), output)
    columns = patches(convolution, batch.double(), output)
    np.testing.assert_allclose(found.mean().xx, columns @ columns.T / columns.shape[1], rtol=1e-12, atol=1e-12)
