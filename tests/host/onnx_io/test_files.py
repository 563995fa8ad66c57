"""Weights in other files: read from beside the model, and from nowhere else."""

import os

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from gdws.errors import ModelError
from gdws.onnx_io.files import read_whole
from gdws_contract.onnx_check import check_network
from support.hostile_onnx import everywhere, is_external, make_external, tensors


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (tmp_path / "secret").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    return folder / "net.onnx"


def with_data_in(path, location, place=0, **more):
    model = everywhere()
    make_external(list(tensors(model))[place], location, **more)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", range(0, len(list(tensors(everywhere()))), 7))
def test_data_beside_it_are_read_wherever_the_tensor_is(path, place):
    found = read_whole(with_data_in(path, "w.bin", place, offset=8, length=4))
    assert not any(map(is_external, tensors(found)))
    tensor = list(tensors(found))[place]
    if tensor.data_type == onnx.TensorProto.FLOAT:
        assert numpy_helper.to_array(tensor) == [2.0]
    check_network([found.SerializeToString()], field="net.onnx")


def test_data_in_a_folder_below_it_are_read(path):
    (path.parent / "sub").mkdir()
    (path.parent / "w.bin").rename(path.parent / "sub" / "w.bin")
    assert not any(map(is_external, tensors(read_whole(with_data_in(path, "sub/w.bin", offset=0, length=4)))))


def test_a_model_in_one_piece_stays_as_it_is(path):
    path.write_bytes(everywhere().SerializeToString())
    assert read_whole(path) == everywhere()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/../../secret", "", ".", "*/_ORT_MEM_ADDR_/*"])
def test_data_elsewhere_are_refused(path, location):
    with pytest.raises(ModelError, match=r"not a file in its folder|not in the same folder"):
        read_whole(with_data_in(path, location))


def test_a_link_that_leads_out_of_the_folder_is_refused(path, tmp_path):
    (path.parent / "link").symlink_to(tmp_path / "secret")
    (path.parent / "up").symlink_to(tmp_path)
    for location in ("link", "up/secret"):
        with pytest.raises(ModelError, match="not a file in its folder"):
            read_whole(with_data_in(path, location))


def test_what_is_no_file_is_refused_unopened(path):
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(ModelError, match="not a file in its folder"):
        read_whole(with_data_in(path, "pipe"))


@pytest.mark.parametrize("more", [{"offset": 40}, {"length": 33}, {"offset": -1}, {"length": -4}, {"offset": "x"}])
def test_a_place_that_the_file_does_not_have(path, more):
    with pytest.raises(ModelError, match=r"cut off|no readable place"):
        read_whole(with_data_in(path, "w.bin", **more))


def test_a_missing_file_is_named(path):
    with pytest.raises(ModelError, match=r"'gone\.bin', which is not in the same folder"):
        read_whole(with_data_in(path, "gone.bin"))


def test_fields_that_are_not_known_are_dropped(path):
    path.write_bytes(everywhere().SerializeToString() + b"\xb2\x3f\x01x")
    check_network([read_whole(path).SerializeToString()], field="net.onnx")
