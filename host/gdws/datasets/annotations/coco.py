"""Objects in one JSON file, as COCO has them: ``images``, ``annotations`` and ``categories``."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gdws._util.text_files import read_text
from gdws.datasets.annotations.truth import Frame, Objects, name_of, size_of
from gdws.errors import DataError
from gdws_contract.parsing import first_fault


class _Image(BaseModel):
    id: int
    file_name: str


class _Object(BaseModel):
    image_id: int
    category_id: int
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]  # left, top, width, height in pixels
    iscrowd: bool = False


class _Category(BaseModel):
    id: int
    name: str


class _Document(BaseModel):
    images: list[_Image]
    annotations: list[_Object]
    categories: list[_Category]


@dataclass(frozen=True)
class CocoObjects:
    """Those of one file, by the names of the images' files."""

    path: Path
    class_names: tuple[str, ...]
    frame: Frame
    _objects: Mapping[str, Sequence[_Object]]
    _places: Mapping[int, int]

    def of(self, image: str) -> Objects:
        """The objects in an image. Raises :class:`~gdws.errors.DataError` if the file does not have it."""
        found = self._objects.get(name_of(image))
        if found is None:
            raise DataError(
                f"{self.path} does not have the image {name_of(image)}",
                hint="give annotations of all images, also of those without objects, or leave the image out",
            )
        height, width = size_of(image)
        boxes = torch.tensor([each.bbox for each in found], dtype=torch.float64).reshape(-1, 4)
        corners = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), dim=1)
        return self.frame.objects(
            image,
            corners / torch.tensor([width, height, width, height]),
            torch.tensor([self._places[each.category_id] for each in found], dtype=torch.int64),
            torch.tensor([each.iscrowd for each in found], dtype=torch.bool),
        )


def read_coco(path: Path, frame: Frame, names: Sequence[str]) -> CocoObjects:
    """The objects in the file at ``path``.

    ``names`` are the classes in the order of the network's; where there are none, that of the categories' ids.
    Raises :class:`~gdws.errors.DataError` for a file that is no such thing, or does not go with ``names``.
    """
    try:
        document = TypeAdapter(_Document).validate_python(json.loads(read_text(path)))
    except ValidationError as error:
        field, message = first_fault(error)
        raise DataError(f"{path} is not a COCO file: {field}: {message}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    categories = sorted(document.categories, key=lambda each: each.id)
    order = tuple(names) or tuple(each.name for each in categories)
    place_of = {name: place for place, name in enumerate(order)}
    absent = [each.name for each in categories if each.name not in place_of]
    if absent:
        raise DataError(f"the category {absent[0]!r} of {path} is not among the {len(order)} names of --labels")
    places = {each.id: place_of[each.name] for each in categories}
    by_id: dict[int, list[_Object]] = defaultdict(list)
    for each in document.annotations:
        if each.category_id not in places:
            raise DataError(f"{path} has an object of category {each.category_id}, which it does not name")
        by_id[each.image_id].append(each)
    counts = Counter(name_of(each.file_name) for each in document.images)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{path} has two images called {twice}", hint="give files other names, or annotate one folder")
    return CocoObjects(
        path, order, frame, {name_of(each.file_name): by_id[each.id] for each in document.images}, places
    )
