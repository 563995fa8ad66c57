"""Recognises network files of other kinds, with advice on how to use them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    """``name`` of the format, and ``advice`` on what to do with such a file."""

    name: str
    advice: str


ONNX = Kind("an ONNX file", "give it by --onnx")
TORCH = Kind(
    "a file of torch",
    "give a state dict as CHECKPOINT, with --net or --module for its network; or export the network with "
    "torch.onnx.export (of YOLO: yolo export format=onnx) and give that by --onnx",
)
TORCHSCRIPT = Kind(
    "a TorchScript archive", "export the network it was made from with torch.onnx.export, and give that by --onnx"
)
TFLITE = Kind(
    "a TensorFlow Lite file", "python -m tf2onnx.convert --tflite FILE --output model.onnx makes an ONNX file of it"
)
KERAS = Kind("a Keras file", "export it with model.export('model.onnx', format='onnx'), or tf2onnx.convert --keras")


def kind_of(path: Path) -> Kind | None:
    """The kind by the first bytes, the members of an archive, or the suffix ``.onnx``; None for anything else."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
        members = zipfile.ZipFile(path).namelist() if head.startswith(b"PK") else []
    except (OSError, zipfile.BadZipFile):
        return None
    names = {name.rpartition("/")[2] for name in members}
    if head[4:8] == b"TFL3":
        return TFLITE
    if head.startswith(b"\x89HDF") or "model.weights.h5" in names:
        return KERAS
    if "constants.pkl" in names:
        return TORCHSCRIPT
    if "data.pkl" in names or head.startswith(b"\x80\x02"):
        return TORCH
    return ONNX if path.suffix.lower() == ".onnx" else None
