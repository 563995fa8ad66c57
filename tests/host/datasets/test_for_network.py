from __future__ import annotations

import pytest
import torch
from torch import nn

from gdws.datasets import for_network, mnist_sample, open_images, random_images
from gdws.errors import DataError, ModelError
from support.image_files import write_classes
from support.networks import SmallResNet, seeded

SHAPE = (3, 6, 8)


class Counting(nn.Module):
    """Counts the images that its network is given."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.images = seeded(SmallResNet), 0

    def forward(self, x):
        self.images += len(x)
        return self.network(x)


def test_images_without_labels_get_those_that_the_network_answers_when_they_are_needed(tmp_path):
    network = Counting().train()
    data = for_network(open_images(write_classes(tmp_path, {"a": 80}) / "a", SHAPE), network, SHAPE)
    assert (data.origin, data.classes) == ("network", 5)
    asked = network.images
    few = data.test.first(7)
    _ = few.images
    assert network.images == asked <= 1
    with torch.no_grad():
        wanted = network.network.eval()(few.images).argmax(dim=1)
    assert torch.equal(few.labels, wanted)
    assert torch.equal(few.first(3).labels, wanted[:3])
    assert network.images == asked + 7
    assert network.training


def test_noise_is_labelled_when_it_is_needed():
    network = Counting()
    data = random_images(network, SHAPE)
    asked = network.images
    assert len(data.test.first(8).labels) == 8
    assert network.images == asked + 8
    assert (data.origin, asked) == ("noise", 1)


def test_another_size(tmp_path):
    with pytest.raises(DataError, match="of mnist-sample are 1x28x28, but the network takes 1x56x56") as caught:
        for_network(mnist_sample(), nn.Flatten(), (1, 56, 56))
    assert "--input-shape 1,28,28" in str(caught.value.hint)
    with pytest.raises(DataError, match="takes 3x28x28") as caught:
        for_network(mnist_sample(), nn.Flatten(), (3, 28, 28))
    assert "images of your own with --data DIR" in str(caught.value.hint)


def test_classes_must_be_the_outputs(tmp_path):
    network = seeded(SmallResNet)
    root = write_classes(tmp_path / "data", {"cat": 5, "dog": 5})
    with pytest.raises(DataError, match=r"data has 2 classes \(cat, dog\), and the network has 5 outputs") as caught:
        for_network(open_images(root, SHAPE), network, SHAPE)
    assert "--labels FILE" in str(caught.value.hint)
    names = tmp_path / "names.txt"
    names.write_text("owl\ndog\ncat\neel\nfox\n")
    data = for_network(open_images(root, SHAPE, labels=names), network, SHAPE)
    assert data.test.labels.unique().tolist() == [1, 2]
    listed = tmp_path / "list.csv"
    listed.write_text("".join(f"{path},{place}\n" for place, path in enumerate(sorted(root.rglob("*.png")))))
    with pytest.raises(DataError, match="10 classes, and the network has 5"):
        for_network(open_images(listed, SHAPE), network, SHAPE)


def test_networks_that_are_not_classifiers(tmp_path):
    """What their outputs are is the business of their task; images are all that they need."""
    root = write_classes(tmp_path, {"a": 9}) / "a"
    data = for_network(open_images(root, SHAPE), nn.Conv2d(3, 2, 3), SHAPE)
    assert (data.classes, len(data.test.first(2).images)) == (0, 2)
    with pytest.raises(ModelError, match="not logits"):
        _ = data.test.labels
    with pytest.raises(ModelError, match="does not run"):
        for_network(open_images(root, SHAPE), nn.Conv2d(1, 2, 3), SHAPE)
