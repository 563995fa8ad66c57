"""What ranks cost the decisions, layer by layer."""

import numpy as np
import torch

from gdws.compression import fitting as data_aware
from gdws.compression import surgery
from gdws.compression.fitting import sensitivities
from support.networks import Sharing, SmallResNet, seeded


def found(model, images, ranks):
    layers = [layer for layer in surgery.inspect(model, images[:1]) if layer.eligible]
    seen = data_aware.observe(model, layers, images)
    offered = {
        layer.name: [np.full(layer.weight_shape[1], rank) for rank in ranks] for layer in layers if not layer.shares
    }
    return sensitivities(model, layers, images, seen, offered)


def test_more_components_cost_less():
    for errors in found(seeded(SmallResNet), torch.rand(60, 3, 12, 12), (0, 1, 2, 4, 8)).values():
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 1e-2 * errors[0]


def test_a_layer_whose_output_decides_nothing_costs_nothing():
    class Ignoring(SmallResNet):
        def forward(self, x):
            x = torch.relu(self.stem(x))
            y = 0 * torch.relu(self.bn(self.conv1(x)))
            return self.head(torch.relu(self.conv2(y + x) + self.shortcut(x)).mean(dim=(2, 3)))

    errors = found(seeded(Ignoring), torch.rand(60, 3, 12, 12), (1,))
    assert errors["conv1"] == [0]
    assert errors["conv2"][0] > 0


def test_a_shared_weight_has_one_figure_and_the_network_is_left_as_it_was():
    model = seeded(Sharing)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert list(found(model, torch.rand(60, 3, 12, 12), (1, 2))) == ["body"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
