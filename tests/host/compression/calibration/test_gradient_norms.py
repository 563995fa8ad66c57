import pytest
import torch
from torch import nn
from torch.nn import functional

from gdws.compression.calibration.gradient_norms import Call, _ByGram, _ByProduct, squared_norms

CONVOLUTIONS = {
    "plain": (3, {}),
    "padded, strided": (3, {"padding": 1, "stride": 2}),
    "dilated": (3, {"dilation": 2, "padding": "same"}),
    "rectangular": ((2, 5), {"stride": (2, 1), "padding": (0, 3)}),
    "even, same": ((2, 4), {"padding": "same"}),
    "reflect": (3, {"padding": 2, "padding_mode": "reflect"}),
    "circular": (3, {"padding": (1, 0), "padding_mode": "circular"}),
}


def random_calls(conv, sizes):
    """Calls on inputs of these sizes, three samples each, with two sets of output gradients."""
    calls, inputs, sets = [], [], ([], [])
    for height, width in sizes:
        x = torch.randn(3, conv.in_channels, height, width, dtype=torch.float64)
        output = conv(x)
        calls.append(Call.of(conv, x, output))
        inputs.append(x)
        for gradients in sets:
            gradients.append(torch.randn_like(output))
    return calls, inputs, sets


def expected_norms(conv, inputs, sets):
    """Squared norms by input channel from autograd, sample by sample and set by set."""
    total = torch.zeros(conv.in_channels, dtype=torch.float64)
    for gradients in sets:
        for sample in range(3):
            value = sum(
                (conv(x[sample : sample + 1]) * g[sample : sample + 1]).sum()
                for x, g in zip(inputs, gradients, strict=True)
            )
            [gradient] = torch.autograd.grad(value, conv.weight)
            total += gradient.square().sum(dim=(0, 2, 3))
    return total


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("way", [_ByProduct, _ByGram])
@pytest.mark.parametrize(("kernel", "options"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("sizes", [[(7, 6)], [(7, 6), (9, 5), (7, 6)]], ids=["one call", "three calls"])
def test_both_ways_agree_with_autograd(way, kernel, options, sizes):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, kernel, dtype=torch.float64, **options)
    calls, inputs, sets = random_calls(conv, sizes)
    norms = way(calls)
    for gradients in sets:
        norms.add(torch.cat([gradient.flatten(2) for gradient in gradients], dim=2))
    torch.testing.assert_close(norms.total(), expected_norms(conv, inputs, sets).detach())


def test_nothing_taken_in_is_zero():
    conv = nn.Conv2d(3, 4, 3)
    x = torch.randn(2, 3, 5, 5)
    call = Call.of(conv, x, conv(x))
    assert torch.equal(_ByGram([call]).total(), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(_ByProduct([call]).total(), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize(("size", "way"), [(4, _ByGram), (64, _ByProduct)])
def test_the_cheaper_way_is_taken(size, way):
    conv = nn.Conv2d(32, 32, 3, padding=1)
    x = torch.randn(1, 32, size, size)
    assert type(squared_norms([Call.of(conv, x, conv(x))], 32, 9)) is way


def test_a_call_keeps_the_input_as_it_was():
    for conv in (nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1)):
        x = torch.ones(1, 2, 5, 5)
        call = Call.of(conv, x, conv(x))
        x.zero_()
        assert call.padded.sum() == 50


def test_taps_read_the_pixels_that_the_filter_reads():
    conv = nn.Conv2d(1, 1, (2, 3), stride=(2, 1), dilation=(1, 2), padding=1)
    x = torch.randn(1, 1, 6, 7)
    call = Call.of(conv, x, conv(x))
    met = torch.stack([call.padded[0, 0, rows, columns].flatten() for rows, columns in call.taps()])
    unfolded = functional.unfold(x, (2, 3), dilation=(1, 2), padding=1, stride=(2, 1))[0]
    assert torch.equal(met, unfolded)
