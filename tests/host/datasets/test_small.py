"""CIFAR-10 and SVHN in files of the published forms, made small; their checksums are those of the small files."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision.datasets import CIFAR10, SVHN

from gdws import datasets
from gdws.datasets import small
from gdws.errors import DataError

PER_CLASS = 3


@pytest.fixture(autouse=True)
def few_for_validation(monkeypatch):
    monkeypatch.setattr(small, "VALIDATION_PER_CLASS", PER_CLASS)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar10_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """The folder as it comes out of the archive; returns the rows of pixels by file."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, lists = {}, {"train_list": [], "test_list": []}
    for kind, names in (("train_list", [f"data_batch_{i}" for i in range(1, 6)]), ("test_list", ["test_batch"])):
        for name in names:
            pixels = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
            content = {"batch_label": name, "labels": list(range(10)) * 2, "data": pixels, "filenames": []}
            (folder / name).write_bytes(pickle.dumps(content))
            lists[kind].append([name, md5(folder / name)])
            rows[name] = pixels
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(folder / "batches.meta")}
    for name, value in (*lists.items(), ("meta", meta)):
        monkeypatch.setattr(CIFAR10, name, value)
    return rows


def svhn_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pixels, split_list = {}, {}
    for split in ("train", "test"):
        name = f"{split}_32x32.mat"
        pixels[split] = rng.integers(0, 256, (32, 32, 3, 60), dtype=np.uint8)
        labels = np.tile(np.arange(1, 11), 6).reshape(-1, 1)  # the digit 0 has the label 10
        savemat(root / name, {"X": pixels[split], "y": labels})
        split_list[split] = ["", name, md5(root / name)]
    monkeypatch.setattr(SVHN, "split_list", split_list)
    return pixels


def images_as_bytes(split: datasets.Split) -> set[bytes]:
    return {(image * 255).round().to(torch.uint8).numpy().tobytes() for image in split.images}


@pytest.mark.parametrize("folder", ["", "cifar10"])
def test_cifar10(tmp_path, monkeypatch, folder):
    rows = cifar10_files(tmp_path / folder, monkeypatch)
    data = datasets.load("cifar10", root=tmp_path)
    assert (data.name, data.classes) == ("cifar10", 10)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [70, 30, 20]
    assert torch.bincount(data.validation.labels).tolist() == [PER_CLASS] * 10
    for split in (data.train, data.validation, data.test):
        assert split.images.shape[1:] == (3, 32, 32)
        assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
        datasets.check_images(split.images, split.labels)
    expected = torch.from_numpy(rows["test_batch"].reshape(-1, 3, 32, 32)).float() / 255
    assert torch.equal(data.test.images, expected)  # in the published order
    assert data.test.labels.tolist() == list(range(10)) * 2
    train, validation = images_as_bytes(data.train), images_as_bytes(data.validation)
    assert not train & validation
    assert train | validation == {
        row.tobytes() for name, batch in rows.items() if name != "test_batch" for row in batch
    }


def test_the_seed_moves_the_validation_split_alone(tmp_path, monkeypatch):
    cifar10_files(tmp_path, monkeypatch)
    one, other = (datasets.load("cifar10", root=tmp_path, seed=seed) for seed in (0, 1))
    assert torch.equal(one.test.images, other.test.images)
    assert images_as_bytes(one.validation) != images_as_bytes(other.validation)
    again = datasets.load("cifar10", root=tmp_path)
    assert torch.equal(one.train.images, again.train.images)


def test_svhn(tmp_path, monkeypatch):
    pixels = svhn_files(tmp_path / "svhn", monkeypatch)
    data = datasets.load("svhn", root=tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [30, 30, 60]
    expected = torch.from_numpy(pixels["test"].transpose(3, 2, 0, 1).copy()).float() / 255
    assert torch.equal(data.test.images, expected)
    assert data.test.labels.tolist() == [*range(1, 10), 0] * 6


def test_without_a_folder(tmp_path):
    with pytest.raises(DataError, match="location of cifar10 is unknown") as caught:
        datasets.load("cifar10")
    assert "--data-root" in str(caught.value.hint)
    with pytest.raises(DataError, match="not a folder"):
        datasets.load("svhn", root=tmp_path / "absent")


@pytest.mark.parametrize(("name", "what"), [("cifar10", "cifar-10-batches-py"), ("svhn", "train_32x32.mat")])
def test_files_that_are_absent(tmp_path, name, what):
    with pytest.raises(DataError, match="is absent") as caught:
        datasets.load(name, root=tmp_path)
    assert what in str(caught.value.hint)
    assert not list(tmp_path.iterdir())  # nothing was downloaded


def test_files_that_are_damaged(tmp_path, monkeypatch):
    cifar10_files(tmp_path, monkeypatch)
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged or not the published ones"):
        datasets.load("cifar10", root=tmp_path)
    svhn_files(tmp_path, monkeypatch)
    (tmp_path / "test_32x32.mat").write_bytes(b"text")
    with pytest.raises(DataError, match="damaged or not the published ones"):
        datasets.load("svhn", root=tmp_path)


def test_images_of_another_size(tmp_path, monkeypatch):
    svhn_files(tmp_path, monkeypatch)
    savemat(tmp_path / "train_32x32.mat", {"X": np.zeros((16, 16, 3, 4), np.uint8), "y": np.ones((4, 1))})
    SVHN.split_list["train"][2] = md5(tmp_path / "train_32x32.mat")
    with pytest.raises(DataError, match=r"not uint8 \(3, 32, 32\)"):
        datasets.load("svhn", root=tmp_path)
