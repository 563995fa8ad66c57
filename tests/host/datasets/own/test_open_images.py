from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch

from gdws.datasets import LazyImages, open_images
from gdws.errors import DataError
from support.image_files import pixels, write_classes

SHAPE = (3, 6, 8)


def splits(data):
    return data.train, data.validation, data.test


def as_tensor(arrays):
    return torch.from_numpy(np.stack(arrays).transpose(0, 3, 1, 2).astype(np.float32)) / 255


def everything(data):
    """All images with their labels, as a set of what can be compared."""
    return {
        (image.numpy().tobytes(), int(label))
        for split in splits(data)
        for image, label in zip(split.images, split.labels, strict=True)
    }


def test_a_folder_for_each_class(tmp_path):
    root = write_classes(tmp_path / "animals", {"cat": 20, "dog": 20, "owl": 10})
    (root / ".DS_Store").write_bytes(b"x")
    data = open_images(root, SHAPE)
    assert (data.name, data.classes, data.class_names, data.origin) == ("animals", 3, ("cat", "dog", "owl"), "labelled")
    assert [len(split) for split in splits(data)] == [25, 10, 15]
    assert torch.bincount(data.test.labels).tolist() == [6, 6, 3]
    assert data.test.labels.tolist() != sorted(data.test.labels.tolist())  # mixed: the first few are a fair sample
    wanted = {
        (as_tensor([pixels(1000 * k + i)])[0].numpy().tobytes(), k) for k in range(3) for i in range(20 - 10 * (k == 2))
    }
    assert everything(data) == wanted
    assert "50 images, 3 classes: 25 to fit to, 10 to choose on, 15 to test with" in data.notes[0]
    assert "resized by stretch" in data.notes[0]
    again = open_images(root, SHAPE)
    assert torch.equal(again.test.images, data.test.images)
    other = open_images(root, SHAPE, seed=1)
    assert torch.equal(other.test.images, data.test.images)
    assert not torch.equal(other.validation.images, data.validation.images)


def test_a_folder_without_classes_has_no_labels(tmp_path):
    root = write_classes(tmp_path, {"flat": 20}) / "flat"
    data = open_images(root, SHAPE, resize="letterbox")
    assert (data.classes, data.origin, data.preparation["resize"]) == (0, "network", "letterbox")
    assert [len(split) for split in splits(data)] == [10, 4, 6]
    with pytest.raises(DataError, match="no labels"):
        _ = data.test.labels


def test_identical_images_are_never_apart(tmp_path):
    root = write_classes(tmp_path, {"a": 12, "b": 12})
    for index in range(12):  # also where the labels differ
        shutil.copy(root / "a" / f"{index:03}.png", root / "b" / f"copy{index}.png")
        shutil.copy(root / "a" / f"{index:03}.png", root / "a" / f"again{index}.png")
    seen = [{image.numpy().tobytes() for image in split.images} for split in splits(open_images(root, SHAPE))]
    assert sum(len(each) for each in seen) == len(set.union(*seen)) == 24
    assert all(seen)


def test_the_order_of_classes(tmp_path):
    root = write_classes(tmp_path / "data", {"cat": 8, "dog": 8})
    names = tmp_path / "names.txt"
    names.write_text("\ufeffowl\ndog\ncat\n", encoding="utf-8")
    data = open_images(root, SHAPE, labels=names)
    assert (data.classes, data.class_names) == (3, ("owl", "dog", "cat"))
    swapped = {
        (image, {1: 0, 2: 1}[3 - label] if False else 2 - label)
        for image, label in everything(open_images(root, SHAPE))
    }
    assert everything(data) == swapped
    names.write_text("dog\n")
    with pytest.raises(DataError, match="class 'cat' is not among the 1 names"):
        open_images(root, SHAPE, labels=names)
    names.write_text("dog\ncat\ndog\n")
    with pytest.raises(DataError, match="names the class 'dog' twice"):
        open_images(root, SHAPE, labels=names)


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({"Training": 20, "Testing": 8}, [14, 6, 8]),
        ({"train": 20, "val": 6, "test": 8}, [20, 6, 8]),
        ({"train": 20, "val": 6}, [14, 6, 6]),
        ({"test": 8}, [0, 0, 8]),
        ({"train": 20}, [10, 4, 6]),
    ],
)
def test_splits_that_are_given(tmp_path, given, sizes):
    for number, (split, count) in enumerate(given.items()):
        write_classes(tmp_path / "data" / split, {"a": count}, seed=100 * number)
    data = open_images(tmp_path / "data", SHAPE)
    assert [len(split) for split in splits(data)] == sizes
    assert not any("too good" in note for note in data.notes)
    if not sizes[0]:
        with pytest.raises(DataError, match="leaves no images to fit to"):
            _ = data.train.first(3).images


def test_test_images_among_the_training_images(tmp_path):
    write_classes(tmp_path / "train", {"a": 9})
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    assert "9 test images are training images, too" in open_images(tmp_path, SHAPE).notes[1]


@pytest.mark.parametrize(("separator", "suffix"), [(",", "csv"), ("\t", "tsv"), (" ", "txt")])
def test_lists(tmp_path, separator, suffix):
    root = write_classes(tmp_path / "some images", {"b": 6, "a": 6})
    paths = sorted(root.rglob("*.png"))
    lines = [f"some images/{path.relative_to(root)}{separator}{path.parent.name}" for path in paths]
    listed = tmp_path / f"list.{suffix}"
    listed.write_text("\n".join(["# of today", *lines, ""]))
    assert everything(open_images(listed, SHAPE)) == everything(open_images(root, SHAPE))
    listed.write_text(
        "\n".join(
            line.replace(f"{separator}a", f"{separator}7").replace(f"{separator}b", f"{separator}2") for line in lines
        )
    )
    numbers = open_images(listed, SHAPE)
    assert (numbers.classes, numbers.class_names) == (8, ())
    assert {int(label) for _, label in everything(numbers)} == {2, 7}
    listed.write_text("\n".join(f"some images/{path.relative_to(root)}" for path in paths))
    assert open_images(listed, SHAPE).origin == "network"
    listed.write_text("\n".join([*lines, f"some images/{paths[0].relative_to(root)}"]))
    with pytest.raises(DataError, match="line 13: some lines have a class"):
        open_images(listed, SHAPE)


def test_arrays(tmp_path):
    images = np.stack([pixels(i) for i in range(20)])
    labels = np.arange(20) % 4
    np.savez(tmp_path / "all.npz", images=images, labels=labels[:, None])
    data = open_images(tmp_path / "all.npz", SHAPE)
    wanted = {(image.numpy().tobytes(), int(label)) for image, label in zip(as_tensor(images), labels, strict=True)}
    assert (everything(data), data.classes, [len(split) for split in splits(data)]) == (wanted, 4, [9, 4, 7])
    for name, array in {
        "first": images.transpose(0, 3, 1, 2),
        "floats": images.astype(np.float64) / 255,
        "wide": images.astype(np.uint16) * 257,
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
        found = open_images(tmp_path / f"{name}.npy", SHAPE)
        assert (found.origin, len(found.test)) == ("network", 6)
        order = {
            image.tobytes(): place for place, image in enumerate(found.test.images.mul(255).round().byte().numpy())
        }
        assert set(order) <= {image.tobytes() for image in images.transpose(0, 3, 1, 2)}
    np.savez(tmp_path / "keras.npz", x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    assert [len(split) for split in splits(open_images(tmp_path / "keras.npz", SHAPE))] == [14, 6, 5]
    np.save(tmp_path / "grey.npy", images[..., 0])
    assert open_images(tmp_path / "grey.npy", (1, 12, 12)).test.images.shape == (6, 1, 12, 12)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((4, 6, 8, 3), np.int64)}, "are int64"),
        ({"images": np.full((4, 6, 8, 3), 255.0)}, "floats from 255 to 255"),
        ({"images": np.full((4, 6, 8, 3), np.nan)}, "floats from nan"),
        ({"images": np.zeros((4, 6, 8, 5), np.uint8)}, "where the channels are"),
        ({"images": np.zeros((4, 3, 8, 3), np.uint8)}, "where the channels are"),
        ({"images": np.zeros((4, 6, 8, 3), np.uint8), "labels": np.eye(4)}, "labels of images in .* are float64"),
        ({"pictures": np.zeros((4, 6, 8, 3), np.uint8)}, "no images: it holds pictures"),
        ({"images": np.array([None])}, "cannot be read"),
        ({"images": np.zeros((0, 6, 8, 3), np.uint8)}, "has no images"),
    ],
)
def test_arrays_that_are_something_else(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_images(tmp_path / "x.npz", SHAPE)


def test_files_that_cannot_be_read(tmp_path):
    root = write_classes(tmp_path, {"a": 20})
    (root / "a" / "notes.txt").write_text("no image")
    cut = (root / "a" / "003.png").read_bytes()[:-60]
    (root / "a" / "003.png").write_bytes(cut)
    with pytest.raises(DataError, match=r"1 of 21 files cannot be read as images: .*notes\.txt") as caught:
        open_images(root, SHAPE)
    assert "--unreadable skip" in str(caught.value.hint)
    data = open_images(root, SHAPE, unreadable="skip")
    assert sum(len(split) for split in splits(data)) == 19
    assert re.search(r"skipped: 2 of 21 files .*003\.png", data.notes[1])
    (root / "a" / "notes.txt").unlink()
    data = open_images(root, SHAPE)  # its header is right: the damage is found when it is read
    with pytest.raises(DataError, match=r"003\.png cannot be read"):
        everything(data)


def test_invalid_sources_of_images_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"x")
    write_classes(tmp_path / "mixed", {"a": 2})
    (tmp_path / "mixed" / "beside.png").write_bytes(b"x")
    for name, message in {
        "empty": "has no images",
        "model.onnx": "is not a file of images",
        "absent": "does not exist",
        "mixed": r"has files \(beside.png, …\) and folders \(a, …\)",
    }.items():
        with pytest.raises(DataError, match=message):
            open_images(tmp_path / name, SHAPE)


def test_memory_holds_a_batch_alone(tmp_path, monkeypatch):
    data = open_images(write_classes(tmp_path, {"a": 40}), SHAPE)
    held: list[int] = []
    read = LazyImages.__getitem__
    monkeypatch.setattr(
        LazyImages, "__getitem__", lambda self, rows: held.append(len(found := read(self, rows))) or found
    )
    assert sum(len(batch) for batch in data.train.batches(3)) == len(data.train) == 20
    assert max(held) == 3


def test_where_no_image_is_left_it_says_of_what(tmp_path):
    data = open_images(write_classes(tmp_path, {"one": 1}) / "one", SHAPE)
    assert "1 image, no labels" in data.notes[0]
    empty = [split for split in splits(data) if not len(split)]
    assert len(empty) == 2
    with pytest.raises(DataError, match=r"one leaves no images to"):
        empty[-1].require_any()
    next(split for split in splits(data) if len(split)).require_any()
