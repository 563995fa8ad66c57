"""Forward passes that wait at layers."""

import threading

import pytest
import torch
from torch import nn

from gdws.compression.fitting.passes import Passes
from gdws.errors import ModelError
from support.networks import SmallResNet, seeded


class ByKeyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.second(input=torch.relu(self.first(input=x)))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def batches():
    return list(torch.rand(3, 2, 3, 12, 12, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("held", [0, 1, 3])
def test_weights_that_change_at_a_stop_are_used_from_there_on(held):
    model, x = seeded(SmallResNet), batches()
    with Passes(model, [model.conv1, model.conv2], x, held=held) as passes:
        for _ in passes.at([model.conv1]):
            pass
        with torch.no_grad():
            model.conv1.weight.mul_(2)
        met = [stop.input.clone() for [stop] in passes.at([model.conv2])]
    taken = []
    handle = model.conv2.register_forward_pre_hook(lambda _, args: taken.append(args[0]))
    for batch in x:
        model(batch)
    handle.remove()
    for found, wanted in zip(met, taken, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("after", [True, False])
def test_a_stop_has_the_input_and_after_the_call_the_output(after):
    model, x = seeded(ByKeyword), batches()
    with Passes(model, [model.first, model.second], x, held=3, after=after) as passes:
        [stop] = next(iter(passes.at([model.first])))
        torch.testing.assert_close(stop.input, x[0])
        if after:
            torch.testing.assert_close(stop.output, model.first(x[0]))
        else:
            assert stop.output is None
        [[second], *_] = passes.at([model.second])
        torch.testing.assert_close(second.input, torch.relu(model.first(x[0])))


def test_no_gradient_is_recorded():
    model = seeded(SmallResNet)
    with Passes(model, [model.conv1], batches(), held=3, after=True) as passes:
        for [stop] in passes.at([model.conv1]):
            assert not stop.input.requires_grad
            assert not stop.output.requires_grad


def test_a_network_that_catches_every_exception_is_given_up_all_the_same():
    class Catching(SmallResNet):
        ended = False

        def forward(self, x):
            try:
                return super().forward(x)
            except Exception:
                self.ended = True
                raise

    model = seeded(Catching)
    with Passes(model, [model.conv1, model.conv2], batches(), held=3) as passes:
        next(iter(passes.at([model.conv1])))
    assert not model.ended


def test_a_layer_that_is_not_called_again_is_told():
    model = seeded(SmallResNet)
    with Passes(model, [model.conv1], batches(), held=3) as passes:
        next(iter(passes.at([model.conv1])))
        with pytest.raises(ModelError, match="less often"):
            next(iter(passes.at([model.conv1])))
