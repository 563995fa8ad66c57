"""MNIST and Fashion-MNIST in files of the published form, made small; and the real ones where they lie."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pytest
import torch

from gdws import datasets
from gdws.datasets import mnist_files
from gdws.errors import DataError
from gdws.evaluation.attacks import protocols
from support import idx

REAL = mnist_files.DEBIAN_FASHION_MNIST


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Sixty and twenty images are a data set; the system has none."""
    monkeypatch.setattr(mnist_files, "TRAIN", 60)
    monkeypatch.setattr(mnist_files, "TEST", 20)
    monkeypatch.setattr(mnist_files, "VALIDATION_PER_CLASS", 2)
    monkeypatch.setattr(mnist_files, "DEBIAN_FASHION_MNIST", tmp_path / "usr" / "share")


def images_as_bytes(split: datasets.Split) -> set[bytes]:
    return {(image * 255).round().to(torch.uint8).numpy().tobytes() for image in split.images}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("fashion-mnist", ""),
        ("fashion-mnist", "fashion-mnist"),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("mnist", ""),
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
    ],
)
def test_splits(tmp_path, small, name, folder, zipped):
    arrays = idx.mnist_files(tmp_path / folder, zipped=zipped)
    data = datasets.load(name, root=tmp_path)
    assert (data.name, data.classes) == (name, 10)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [40, 20, 20]
    assert torch.bincount(data.validation.labels).tolist() == [2] * 10
    for split in (data.train, data.validation, data.test):
        assert split.images.shape[1:] == (1, 28, 28)
        assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
        datasets.check_images(split.images, split.labels)
    expected = torch.from_numpy(arrays["t10k-images-idx3-ubyte"])[:, None].float() / 255
    assert torch.equal(data.test.images, expected)  # in the published order
    assert data.test.labels.tolist() == list(range(10)) * 2
    train, validation = images_as_bytes(data.train), images_as_bytes(data.validation)
    assert not train & validation
    assert train | validation == {image.tobytes() for image in arrays["train-images-idx3-ubyte"]}


def test_labels_stay_with_their_images(tmp_path, small):
    arrays = idx.mnist_files(tmp_path)
    label_of = {
        image.tobytes(): int(label)
        for image, label in zip(arrays["train-images-idx3-ubyte"], arrays["train-labels-idx1-ubyte"], strict=True)
    }
    data = datasets.load("mnist", root=tmp_path)
    for split in (data.train, data.validation):
        for image, label in zip(split.images, split.labels, strict=True):
            assert label_of[(image * 255).round().to(torch.uint8).numpy().tobytes()] == int(label)


def test_the_seed_moves_the_validation_split_alone(tmp_path, small):
    idx.mnist_files(tmp_path)
    one, other = (datasets.load("fashion-mnist", root=tmp_path, seed=seed) for seed in (0, 1))
    assert torch.equal(one.test.images, other.test.images)
    assert images_as_bytes(one.validation) != images_as_bytes(other.validation)
    assert torch.equal(one.train.images, datasets.load("fashion-mnist", root=tmp_path).train.images)


@pytest.mark.parametrize("root", [None, "elsewhere"])
def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path, small, root):
    (tmp_path / "elsewhere").mkdir()
    arrays = idx.mnist_files(mnist_files.DEBIAN_FASHION_MNIST)
    data = datasets.load("fashion-mnist", root=root and tmp_path / root)
    assert images_as_bytes(data.test) == {image.tobytes() for image in arrays["t10k-images-idx3-ubyte"]}


def test_a_root_comes_before_debians_place(tmp_path, small):
    idx.mnist_files(mnist_files.DEBIAN_FASHION_MNIST)
    mine = tmp_path / "mine"
    mine.mkdir()
    for stem, array in idx.mnist_files(tmp_path / "other").items():
        (mine / stem).write_bytes(idx.idx_bytes(255 - array if "images" in stem else array))
    data = datasets.load("fashion-mnist", root=mine)
    assert images_as_bytes(data.test) != images_as_bytes(datasets.load("fashion-mnist").test)


@pytest.mark.parametrize("root", [None, ""])
def test_without_files_the_error_says_how_to_get_them(tmp_path, small, root):
    with pytest.raises(DataError, match="train-images-idx3-ubyte") as caught:
        datasets.load("fashion-mnist", root=None if root is None else tmp_path)
    assert "apt install dataset-fashion-mnist" in str(caught.value.hint)
    assert not list(tmp_path.iterdir())  # nothing was downloaded


def test_mnist_needs_a_folder(tmp_path, small):
    with pytest.raises(DataError, match="location of mnist is unknown"):
        datasets.load("mnist")
    with pytest.raises(DataError, match="train-images-idx3-ubyte") as caught:
        datasets.load("mnist", root=tmp_path)
    assert "four files" in str(caught.value.hint)


@pytest.mark.parametrize("stem", ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_one_file_that_is_absent_is_named(tmp_path, small, stem):
    idx.mnist_files(tmp_path)
    (tmp_path / f"{stem}.gz").unlink()
    with pytest.raises(DataError, match=f"{stem}.* is absent"):
        datasets.load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("stem", "array", "message"),
    [
        ("train-images-idx3-ubyte", np.zeros((60, 32, 32), np.uint8), r"\(60, 32, 32\), not \(60, 28, 28\)"),
        ("train-images-idx3-ubyte", np.zeros((59, 28, 28), np.uint8), r"\(59, 28, 28\)"),
        ("t10k-labels-idx1-ubyte", np.zeros(19, np.uint8), r"\(19,\), not \(20,\)"),
        ("t10k-labels-idx1-ubyte", np.full(20, 10, np.uint8), "the label 10"),
    ],
)
def test_other_data_under_its_name_are_refused(tmp_path, small, stem, array, message):
    idx.mnist_files(tmp_path)
    (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(idx.idx_bytes(array)))
    with pytest.raises(DataError, match=message):
        datasets.load("fashion-mnist", root=tmp_path)


def test_each_has_a_protocol():
    assert protocols.for_data("mnist") == "mnist"
    usual = protocols.attack("pgd", protocols.for_data("fashion-mnist"))
    assert (usual.eps, usual.step, usual.iterations, usual.random_start) == (0.1, 0.01, 40, True)


@pytest.mark.skipif(not REAL.is_dir(), reason="the package dataset-fashion-mnist is not installed")
def test_the_splits_of_the_real_files_are_the_same_for_ever():
    """Published accuracies hold for these images; a change of rule would make them meaningless."""
    data = datasets.load("fashion-mnist")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert torch.bincount(data.validation.labels).tolist() == [500] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    digests = {}
    for name in ("validation", "test"):
        split = getattr(data, name)
        pixels = (split.images * 255).round().to(torch.uint8).numpy().tobytes()
        digests[name] = hashlib.sha256(pixels + split.labels.numpy().astype(np.uint8).tobytes()).hexdigest()
    assert digests == {
        "validation": "e3dd683bd599f563e1820438cd08e5685eab33c922837ea197aee30183b1c9c4",
        "test": "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4",
    }
