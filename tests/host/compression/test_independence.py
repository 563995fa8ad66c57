"""Networks in which the images of a batch meet."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from gdws.compression.calibration import alphas as calibrate
from gdws.compression.independence import require_independence
from gdws.errors import ExportError, ModelError
from gdws.onnx_io.export import export
from support.networks import SmallResNet, seeded

SHAPE = (3, 10, 8)


class Between(SmallResNet):
    """Does something to the feature maps between its layers."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = self.step(torch.relu(self.bn(self.conv1(x))))
        return self.head(torch.relu(self.conv2(y) + self.shortcut(x)).mean(dim=(2, 3)))


class Step(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Stubborn(nn.BatchNorm2d):
    """Stays in training mode."""

    def train(self, mode=True):
        return super().train(True)


MEETING = {
    "no statistics": (nn.BatchNorm2d(8, track_running_stats=False), "no running statistics", "track_running_stats"),
    "training mode": (Stubborn(8), "training mode", "eval()"),
    "training by hand": (Step(lambda x: functional.batch_norm(x, None, None, training=True)), "'step' (Step)", "axes"),
    "mean over the batch": (Step(lambda x: x - x.mean(0, keepdim=True)), "'step' (Step)", "axes"),
    "mean over all": (Step(lambda x: x / x.mean()), "'step' (Step)", "axes"),
    "largest of all": (Step(lambda x: x / x.amax()), "'step' (Step)", "axes"),
    "softmax over the batch": (nn.Softmax(dim=0), "'step' (Softmax)", "axes"),
    "running sum": (Step(lambda x: x.cumsum(0)), "'step' (Step)", "axes"),
    "running sum backwards": (Step(lambda x: x.flip(0).cumsum(0).flip(0)), "'step' (Step)", "axes"),
    "neighbour": (Step(lambda x: x + x.roll(1, 0)), "'step' (Step)", "axes"),
}


@pytest.mark.parametrize(("step", "words", "fix"), MEETING.values(), ids=MEETING)
def test_the_layer_where_images_meet_is_named(step, words, fix):
    model = seeded(Between, step)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError) as caught:
        require_independence(model, SHAPE)
    assert caught.value.layer == "step"
    assert words in str(caught.value)
    assert fix in caught.value.hint
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_networks_own_code_is_named():
    class Own(SmallResNet):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    with pytest.raises(ModelError, match="in the network's own forward"):
        require_independence(seeded(Own), SHAPE)


def test_a_network_that_does_not_run_on_one_image():
    class Pairs(SmallResNet):
        def forward(self, x):
            if len(x) == 1:
                raise ValueError("too few")
            return super().forward(x)

    with pytest.raises(ModelError, match=r"not on a single one: .*too few"):
        require_independence(seeded(Pairs), SHAPE)


APART = {
    "nothing": nn.Identity(),
    "each image by itself": nn.GroupNorm(2, 8),
    "instance": nn.InstanceNorm2d(8),
    "image mean": Step(lambda x: x - x.mean((1, 2, 3), keepdim=True)),
    "chance": Step(lambda x: x + torch.randn_like(x)),
    "chaos": Step(lambda x: ((x * 1e7).sin() * 1e3).sin()),
}


@pytest.mark.parametrize("step", APART.values(), ids=APART)
def test_other_networks_pass(step):
    require_independence(seeded(Between, step), SHAPE)


def test_export_and_calibration_refuse_dependent_images():
    model = seeded(Between, nn.BatchNorm2d(8, track_running_stats=False))
    with pytest.raises(ExportError, match="'step' normalises by the statistics of the batch"):
        export(model, SHAPE)
    with pytest.raises(ModelError, match="'step' normalises by the statistics of the batch"):
        calibrate.alphas(model, [torch.rand(1, *SHAPE)])


def test_a_random_network_is_not_exported():
    with pytest.raises(ExportError, match="the network is random") as caught:
        export(seeded(Between, Step(functional.dropout)), SHAPE)
    assert "dropout" in caught.value.hint
