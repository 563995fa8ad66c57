"""Annotations of images, in the frame of the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gdws.datasets import Preparation, Resize, open_images
from gdws.datasets.annotations import Objects, open_annotations
from gdws.errors import DataError

#: Of an image of 100 by 50 pixels (width by height): left, top, width, height.
BOX = [20, 10, 40, 20]


def street(folder: Path, name: str = "street.png", size: tuple[int, int] = (100, 50)) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    Image.new("RGB", size, (200, 10, 10)).save(path)
    return str(path)


def coco(path: Path, *, category: int = 7, name: str = "street.png", **changes: object) -> Path:
    document = {
        "images": [{"id": 3, "file_name": f"val/{name}"}],
        "annotations": [{"image_id": 3, "category_id": category, "bbox": BOX, "iscrowd": 1}],
        "categories": [{"id": 7, "name": "car"}, {"id": 2, "name": "bus"}],
        **changes,
    }
    path.write_text(json.dumps(document))
    return path


def preparation(resize: str = "stretch") -> Preparation:
    return Preparation((3, 64, 64), Resize.parse(resize))


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("stretch", [12.8, 12.8, 38.4, 38.4]),
        ("letterbox", [12.8, 22.4, 38.4, 35.2]),  # 64 by 32, 16 from the top
        ("crop", [0, 12.8, 44.8, 38.4]),  # 128 by 64, of which 32 on the left are cut off
    ],
)
def test_boxes_move_with_their_image(tmp_path: Path, resize: str, expected: list[float]) -> None:
    image = street(tmp_path / "images")
    found = open_annotations(coco(tmp_path / "a.json"), preparation(resize)).of(image)
    assert isinstance(found, Objects)
    assert found.boxes.tolist() == [pytest.approx(expected, abs=1e-4)]
    assert found.is_crowd.tolist() == [True]


def test_classes_are_numbered_by_id_or_by_the_names_given(tmp_path: Path) -> None:
    image, path = street(tmp_path / "images"), coco(tmp_path / "a.json")
    by_id = open_annotations(path, preparation())
    assert by_id.class_names == ("bus", "car")
    assert by_id.of(image).classes.tolist() == [1]
    assert open_annotations(path, preparation(), ["car", "dog", "bus"]).of(image).classes.tolist() == [0]
    with pytest.raises(DataError, match=r"'bus' of .* is not among the 1 names"):
        open_annotations(path, preparation(), ["car"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": None}, "is not a COCO file: categories"),
        ({"annotations": [{"image_id": 3, "category_id": 9, "bbox": BOX}]}, "category 9, which it does not name"),
        ({"images": [{"id": 1, "file_name": "a/x.png"}, {"id": 2, "file_name": "b/x.png"}]}, "two images called x.png"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_annotations(coco(tmp_path / "a.json", **changes), preparation())


def test_an_image_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    found = open_annotations(coco(tmp_path / "a.json"), preparation())
    with pytest.raises(DataError, match=r"does not have the image other\.png"):
        found.of(street(tmp_path / "images", "other.png"))


def test_text_files_hold_shares_of_the_image(tmp_path: Path) -> None:
    image, folder = street(tmp_path / "images"), tmp_path / "labels"
    folder.mkdir()
    (folder / "street.txt").write_text("1 0.4 0.4 0.4 0.4\n\n0 0.5 0.5 1 1\n")
    found = open_annotations(folder, preparation())
    objects = found.of(image)
    assert objects.boxes[0].tolist() == pytest.approx([12.8, 12.8, 38.4, 38.4])
    assert objects.classes.tolist() == [1, 0]
    assert len(found.of(street(tmp_path / "images", "empty.png")).boxes) == 0


@pytest.mark.parametrize("line", ["1 0.4 0.4 0.4", "x 0.4 0.4 0.4 0.4", "1 40 20 40 20", "-1 0.4 0.4 0.4 0.4"])
def test_a_line_that_is_no_box_is_named(tmp_path: Path, line: str) -> None:
    image = street(tmp_path / "images")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "street.txt").write_text(f"0 0.5 0.5 1 1\n{line}\n")
    with pytest.raises(DataError, match=r"street\.txt, line 2"):
        open_annotations(tmp_path / "labels", preparation()).of(image)


def test_masks_move_with_their_image_and_padding_has_no_class(tmp_path: Path) -> None:
    image, folder = street(tmp_path / "images"), tmp_path / "masks"
    folder.mkdir()
    values = np.zeros((50, 100), np.uint8)
    values[:, 50:], values[0] = 3, 255
    Image.fromarray(values).save(folder / "street.png")
    stretched = open_annotations(folder, preparation()).of(image)
    assert sorted(torch.unique(stretched).tolist()) == [-1, 0, 3]
    assert stretched[32, 10] == 0
    assert stretched[32, 50] == 3
    boxed = open_annotations(folder, preparation("letterbox")).of(image)
    assert (boxed[:16] == -1).all()
    assert boxed[40, 50] == 3
    Image.new("RGB", (4, 4)).save(folder / "street.png")
    with pytest.raises(DataError, match="not a mask"):
        open_annotations(folder, preparation()).of(image)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match=r"are no annotations|does not exist") as caught:
            open_annotations(path, preparation())
        assert caught.value.hint


def test_each_test_image_has_its_own_truth(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    for number in range(10):
        path = street(tmp_path / "images", f"{number}.png")
        Image.new("RGB", (100, 50), (20 * number, 0, 0)).save(path)
        (folder / f"{number}.txt").write_text("0 0.5 0.5 1 1\n" * number)
    data = open_images(tmp_path / "images", (3, 64, 64), annotations=folder)
    for split in (data.train, data.test.first(2), data.test.without_labels(), data.test.labelled_by(lambda x: x)):
        assert split.truth is not None
        for row in range(len(split)):
            red = round(255 * float(split.by_row[row : row + 1][0, 0, 0, 0]))
            assert len(split.truth(row).boxes) == red // 20
