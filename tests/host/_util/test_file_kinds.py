"""A file of another kind than was asked for is named, with what to do about it."""

from __future__ import annotations

import zipfile

import pytest
import torch
from torch import nn

from gdws.errors import CheckpointUnreadable, ModelError
from gdws.networks.checkpoints.files import read_file
from gdws.onnx_io.load import load_onnx

HEADS = {
    "tflite": b"\x1c\0\0\0TFL3",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "cut off": b"PK\x03\x04",
    "any": b"\x08\x08",
}


def write(path, kind):
    if kind == "torch":
        torch.save(nn.Linear(2, 2).state_dict(), path)
    elif kind == "old torch":
        torch.save(nn.Linear(2, 2).state_dict(), path, _use_new_zipfile_serialization=False)
    elif kind == "torchscript":
        torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    elif kind == "keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.weights.h5", b"\x89HDF")
    else:
        path.write_bytes(HEADS[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        ("torch", "a file of torch", "torch.onnx.export"),
        ("old torch", "a file of torch", "CHECKPOINT"),
        ("torchscript", "TorchScript", "torch.onnx.export"),
        ("tflite", "TensorFlow Lite", "tf2onnx"),
        ("keras", "a Keras file", "tf2onnx"),
        ("hdf5", "a Keras file", "tf2onnx"),
        ("cut off", "not a valid ONNX file", "export the network again"),
    ],
)
def test_given_as_an_onnx_file(tmp_path, kind, name, advice):
    with pytest.raises(ModelError, match=name) as caught:
        load_onnx(write(tmp_path / "model", kind))
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "kind", "message", "advice"),
    [
        ("model.onnx", "any", "is an ONNX file, not a checkpoint", "--onnx"),
        ("model.tflite", "tflite", "TensorFlow Lite", "tf2onnx"),
        ("model.pt", "torchscript", "is a TorchScript archive, not a checkpoint", "torch.onnx.export"),
        ("model.pth", "cut off", "not a checkpoint, or is damaged", "state dicts"),
    ],
)
def test_given_as_a_checkpoint(tmp_path, name, kind, message, advice):
    with pytest.raises(CheckpointUnreadable, match=message) as caught:
        read_file(write(tmp_path / name, kind))
    assert advice in str(caught.value.hint)
