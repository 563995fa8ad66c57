from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from gdws import datasets
from gdws.datasets import imagenet
from gdws.errors import DataError

CLASSES = ("n01440764", "n01443537", "n01484850")


def write_image(path: Path, seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i, name in enumerate(CLASSES):
        for j in range(4):
            write_image(tmp_path / "val" / name / f"ILSVRC2012_val_{i}{j}.JPEG", 10 * i + j)
        for j in range(12):
            write_image(tmp_path / "train" / name / f"{name}_{j}.JPEG", 100 * i + j)
    return tmp_path


def test_splits_and_labels(root):
    data = imagenet(root, classes=3)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [6, 30, 12]
    assert torch.bincount(data.test.labels).tolist() == [4, 4, 4]
    assert torch.bincount(data.train.labels).tolist() == [2, 2, 2]
    assert data.test.labels.tolist() != sorted(data.test.labels.tolist())  # mixed
    images = data.test.images
    assert (images.shape, images.dtype) == ((12, 3, 224, 224), torch.float32)
    datasets.check_images(images, data.test.labels)
    assert torch.equal(imagenet(root, classes=3).test.images, images)
    assert not torch.equal(imagenet(root, classes=3, seed=1).validation.labels, data.validation.labels)


def test_images_are_prepared_as_usual(root):
    for name in CLASSES[1:]:
        for path in (root / "val" / name).iterdir():
            path.unlink()
        write_image(root / "val" / name / "one.png", 7, size=(300, 500))
    data = imagenet(root, classes=3)
    row = data.test.labels.tolist().index(1)
    usual = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    with Image.open(root / "val" / CLASSES[1] / "one.png") as image:
        assert torch.equal(data.test.first(row + 1).images[row], usual(image))


def test_only_what_is_asked_for_is_read(root):
    data = imagenet(root, classes=3)
    paths = sorted(path for path in (root / "val").rglob("*.JPEG"))
    kept = datasets.preparation.Preparation((3, 224, 224), datasets.Resize("crop", 256))
    first = data.test.first(2)
    wanted = first.images
    order = [path for path in paths if any(torch.equal(kept.of_file(path), image) for image in wanted)]
    assert len(order) == 2
    for path in set(paths) - set(order):
        path.write_bytes(b"damaged")
    assert torch.equal(data.test.first(2).images, wanted)
    assert (first.labels.tolist(), len(data.test.first(3))) == (data.test.labels[:2].tolist(), 3)
    with pytest.raises(DataError, match="JPEG cannot be read"):
        _ = data.test.first(3).images
    with pytest.raises(DataError, match="JPEG cannot be read"):
        list(data.test.batches(2))


def test_grey_images_and_hidden_files(root):
    write_image(root / "val" / CLASSES[0] / "grey.JPEG", 3, mode="L")
    (root / "val" / ".DS_Store").write_bytes(b"x")
    (root / "val" / CLASSES[0] / ".hidden").write_bytes(b"x")
    assert imagenet(root, classes=3).test.images.shape == (13, 3, 224, 224)


def test_truncated_images(root):
    path = root / "val" / CLASSES[0] / "ILSVRC2012_val_00.JPEG"
    path.write_bytes(path.read_bytes()[:400])
    data = imagenet(root, classes=3)
    with pytest.raises(DataError, match=r"ILSVRC2012_val_00\.JPEG cannot be read: .*[Tt]runcated"):
        _ = data.test.images


@pytest.mark.parametrize(
    ("stray", "message"),
    [
        ("val/valprep.sh", r"valprep\.sh is not a folder of a class"),
        (f"val/{CLASSES[0]}/notes.txt", r"notes\.txt is not an image"),
        (f"train/{CLASSES[2]}/images.tar", r"images\.tar is not an image"),
    ],
)
def test_stray_files(root, stray, message):
    (root / stray).write_bytes(b"x")
    with pytest.raises(DataError, match=message) as caught:
        imagenet(root, classes=3)
    assert "move it elsewhere" in str(caught.value.hint)


def test_stray_and_empty_folders(root):
    """A folder too many would shift the labels of all after it."""
    (root / "val" / "__MACOSX").mkdir()
    with pytest.raises(DataError, match="__MACOSX has no images"):
        imagenet(root, classes=3)
    write_image(root / "val" / "__MACOSX" / "a.jpg", 0)
    with pytest.raises(DataError, match="4 classes, not 3"):
        imagenet(root, classes=3)
    (root / "val" / CLASSES[0]).rename(root / "gone")
    with pytest.raises(DataError, match="train and val have different classes: __MACOSX"):
        imagenet(root, classes=3)


def test_without_train_the_test_split_remains(root):
    (root / "train").rename(root / "elsewhere")
    data = imagenet(root, classes=3)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [0, 0, 12]
    with pytest.raises(DataError, match="train is absent"):
        _ = data.train.first(4).images


def test_memory_is_not_exceeded(root, monkeypatch):
    monkeypatch.setattr("gdws._util.memory.total_bytes", lambda: 2 * 5 * 3 * 224 * 224 * 4)
    data = imagenet(root, classes=3)
    assert len(data.test.first(5).images) == 5
    with pytest.raises(DataError, match="6 images take") as caught:
        _ = data.test.first(6).images
    assert "at most 5" in str(caught.value.hint)


def test_by_name(root):
    with pytest.raises(DataError, match="3 classes, not 1,000"):
        datasets.load("imagenet", root=root)
    with pytest.raises(DataError, match="val is not a folder"):
        datasets.load("imagenet", root=root / "val")
