"""1D convolutions, as networks for audio and ECG have them: convolutions of height 1."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn

import gdws
from gdws.compression.calibration.alphas import alphas
from gdws.compression.layers import GDWSConv1d, to_dense
from gdws.compression.surgery import apply
from gdws.networks.converted import frame
from gdws.onnx_io.export import export
from gdws.onnx_io.load import load_onnx

SHAPE = (2, 64)


class Signals(nn.Module):
    """A small network whose convolutions have each geometry that a 1D one may have."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 8, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm1d(8)
        self.wide = nn.Conv1d(8, 12, 5, padding=4, dilation=2, bias=False)
        self.circular = nn.Conv1d(12, 12, 3, padding=1, padding_mode="circular")
        self.same = nn.Conv1d(12, 12, 4, padding="same")
        self.mix = nn.Conv1d(12, 12, 1)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.wide(torch.relu(self.norm(self.stem(x)))))
        x = torch.relu(self.mix(torch.relu(self.same(torch.relu(self.circular(x))))))
        return self.head(x.mean(dim=2))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Signals().eval()


@pytest.fixture(scope="module")
def signals():
    return torch.rand(32, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layout", ["gather", "stacked", "grouped"])
def test_at_full_rank_nothing_changes(net, signals, layout):
    full, plan = gdws.convert(net, beta=0.0, layout=layout, example_input=SHAPE)
    assert [layer.name for layer in plan.converted] == ["wide", "circular", "same"]
    assert plan.converted[0].weight_shape == (12, 8, 1, 5)
    assert plan.converted[0].macs_dense == 12 * 8 * 5 * 32
    assert isinstance(full.wide, GDWSConv1d)
    torch.testing.assert_close(full(signals), net(signals), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(to_dense(full)(signals), net(signals), rtol=1e-4, atol=1e-5)


def test_it_is_the_convolution_of_height_one(net, signals):
    """The same ranks, errors, alphas and fitted factors as the 2D network that it stands for."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 6, (1, 5), padding=(0, 2))
            self.second = nn.Conv2d(6, 6, (1, 3), padding=(0, 1))
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            x = torch.relu(self.second(torch.relu(self.first(x.unsqueeze(2)))))
            return self.head(x.mean(dim=(2, 3)))

    class Line(nn.Module):
        def __init__(self, flat: Flat) -> None:
            super().__init__()
            self.first = nn.Conv1d(2, 6, 5, padding=2)
            self.second = nn.Conv1d(6, 6, 3, padding=1)
            self.head = flat.head
            for mine, theirs in ((self.first, flat.first), (self.second, flat.second)):
                mine.weight = nn.Parameter(theirs.weight.detach().squeeze(2))
                mine.bias = theirs.bias

        def forward(self, x):
            return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean(dim=2))

    torch.manual_seed(3)
    flat = Flat().eval()
    line = Line(flat).eval()
    weights = [alphas(each, [signals]).alphas["second"] for each in (line, flat)]
    torch.testing.assert_close(*map(torch.as_tensor, weights))
    outputs = []
    for each in (line, flat):
        for data in (None, signals):
            module, plan = gdws.convert(each, mean_rank=1, data=data, convert_first=True, example_input=SHAPE)
            outputs.append((module(signals), [layer.ranks for layer in plan.layers]))
    for (mine, ranks), (theirs, their_ranks) in zip(outputs[:2], outputs[2:], strict=True):
        assert ranks == their_ranks
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_it_is_exported_as_1d_convolutions_and_read_again(net, signals, tmp_path):
    small, plan = gdws.convert(net, mean_rank=1, example_input=SHAPE)
    path = tmp_path / "signals.onnx"
    path.write_bytes(export(small, SHAPE))
    graph = onnx.load(path).graph
    assert not {"Unsqueeze", "Squeeze"} & {node.op_type for node in graph.node}
    torch.testing.assert_close(load_onnx(path).module(signals), small(signals), rtol=1e-4, atol=1e-5)
    (tmp_path / "dense.onnx").write_bytes(export(net, SHAPE))
    again, from_file = gdws.convert(load_onnx(tmp_path / "dense.onnx").module, mean_rank=1, example_input=SHAPE)
    assert [layer.ranks for layer in from_file.converted] == [layer.ranks for layer in plan.converted]
    torch.testing.assert_close(again(signals), small(signals), rtol=1e-4, atol=1e-5)


def test_weights_go_into_a_frame_of_the_plan(net, signals):
    small, plan = gdws.convert(net, mean_rank=1, data=signals)
    empty = frame(net, plan)
    empty.load_state_dict(small.state_dict())
    torch.testing.assert_close(empty(signals), small(signals))


def test_without_components_the_bias_is_left(net):
    small, _ = gdws.convert(net, gamma=0, example_input=SHAPE)
    assert small.same(torch.rand(2, 12, 9)).shape == (2, 12, 9)
    assert export(small, SHAPE)


def test_plans_of_before_leave_1d_convolutions_as_they_are(net):
    _, plan = gdws.convert(net, mean_rank=1, skip=["wide", "circular", "same"], example_input=SHAPE)
    stored = plan.to_dict()
    for layer in stored["layers"]:
        if layer["kind"] == "conv1d":
            M, C, _, K = layer["weight_shape"]
            layer["weight_shape"] = [M, C, K]
    assert not any(isinstance(each, GDWSConv1d) for each in apply(gdws.Plan.from_dict(stored), net).modules())
