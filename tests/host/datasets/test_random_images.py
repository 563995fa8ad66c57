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


@pytest.mark.parametrize(
    ("network", "words"), [(nn.Conv2d(1, 2, 3), "does not run"), (nn.Identity(), r"not logits"), (nn.Flatten(0), "not")]
)
def test_what_is_no_classifier(network, words):
    with pytest.raises(ModelError, match=words):
        random_images(network, (3, 8, 8))
