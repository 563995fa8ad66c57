import pytest
import torch
from torch import nn

from gdws.datasets import check_images, random_images
from gdws.datasets.random_images import COUNT
from gdws.errors import ModelError
from gdws.evaluation.evaluate import evaluate
from support.networks import SmallResNet, seeded


def test_the_network_agrees_with_itself():
    network = seeded(SmallResNet).train()
    data = random_images(network, (3, 8, 8))
    assert network.training
    assert (len(data.train), len(data.validation), len(data.test), data.classes) == (COUNT, 0, COUNT, 5)
    check_images(data.test.images, data.test.labels)
    assert evaluate(network, data.test.images, data.test.labels).natural.value == 1
    assert not torch.equal(data.train.images, data.test.images)
    again = random_images(network, (3, 8, 8))
    assert torch.equal(data.test.images, again.test.images)


def test_a_network_that_does_not_run_is_refused():
    with pytest.raises(ModelError, match="does not run"):
        random_images(nn.Conv2d(1, 2, 3), (3, 8, 8))


@pytest.mark.parametrize("network", [nn.Identity(), nn.Flatten(0)])
def test_a_network_that_is_no_classifier_gives_no_labels(network):
    data = random_images(network, (3, 8, 8))
    assert (data.classes, data.test.has_labels, data.test.origin) == (0, False, "noise")
