"""ONNX files of users, read with their external data into one model."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import onnx
from onnx import TensorProto

from gdws.errors import ModelError

_HINT = "store it in one file: onnx.save(onnx.load(path), path), where you trust it"


def read_whole(path: Path) -> onnx.ModelProto:
    """Return the model in the file ``path`` with all weights inside, those in files beside it too.

    A file names other files as it likes, and a runtime would open them. So they are read here, from the folder of
    ``path`` or below it and from nowhere else, links included; what is returned names no file, wherever in the model
    a tensor is. Fields that this release of ONNX does not know are dropped, as another may understand them.

    Raises:
        ModelError: the data of a tensor lie outside of that folder, are not there, or are cut off.
        OSError: a file cannot be read. And what ``onnx.load`` raises for a file that is not ONNX.
    """
    model = onnx.load(path, load_external_data=False)
    model.DiscardUnknownFields()
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
            _inline(tensor, path)
    return model


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor in a message, in whichever field of whichever part: what the format has is asked of the format."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(inner)


def _inline(tensor: onnx.TensorProto, path: Path) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    source = _beside(path, entries.get("location", ""), tensor.name)
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", source.stat().st_size - offset))
    except ValueError as error:
        raise ModelError(f"{path}: the data of {tensor.name!r} have no readable place", hint=_HINT) from error
    if offset < 0 or length < 0 or offset + length > source.stat().st_size:
        raise ModelError(
            f"{path}: the data of {tensor.name!r} are cut off: {source.name} ends before them",
            hint="copy both files again",
        )
    with source.open("rb") as file:
        file.seek(offset)
        content = file.read(length)
    for field in ("external_data", "data_location", "raw_data"):
        tensor.ClearField(field)
    tensor.raw_data = content


def _beside(path: Path, location: str, name: str) -> Path:
    """The file that ``location`` names, in the folder of ``path`` or below it."""
    folder = path.parent.resolve()
    place = PurePosixPath(location)
    inside = location and "\0" not in location and not place.is_absolute() and ".." not in place.parts
    if inside:
        try:
            found = (folder / place).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise ModelError(
                f"{path}: the data of {name!r} are in {location!r}, which is not in the same folder",
                hint="copy that file to the same folder",
            ) from error
        if found.is_relative_to(folder) and stat.S_ISREG(found.stat().st_mode):
            return found
    raise ModelError(f"{path}: the data of {name!r} are in {location!r}, which is not a file in its folder", hint=_HINT)
