"""Networks in INT8 come back from files as they went in, and other files are refused."""

from __future__ import annotations

import dataclasses

import onnx
import pytest
import torch

from gdws import pipeline
from gdws.errors import CheckpointUnreadable, DataError, GdwsError
from gdws.networks import quantised
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline import Recipe, Source, Variant, with_int8, with_tuned
from gdws.planning.budget import MeanRank
from support.tiny import tiny_checkpoint

IMAGES = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    found = pipeline.load(str(tiny_checkpoint(tmp_path_factory.mktemp("tiny"))))
    return dataclasses.replace(found, input_shape=(1, 12, 12))


@pytest.fixture(scope="module")
def variants(source: Source) -> list[Variant]:
    made = pipeline.convert_all(source, [Recipe(MeanRank(1), layout="stacked")])
    return with_int8(made, source, IMAGES, Int8Settings())


@pytest.mark.parametrize("place", [1, 3])  # dense, GDWS
def test_a_network_comes_back_under_the_name_of_its_file(source, variants, tmp_path, place):
    path = tmp_path / "some.onnx"
    quantised.save(path, variants[place], source.input_shape, source.provenance)
    [found] = with_tuned([], source, [path])
    assert found.name == "some"
    assert found.steps == variants[place].steps
    assert found.module.content == variants[place].module.content
    with torch.no_grad():
        assert torch.equal(found.module(IMAGES), variants[place].module(IMAGES))


def test_a_network_in_int8_is_not_quantised_again(source, variants):
    assert with_int8(variants[1:2], source, IMAGES, Int8Settings()) == variants[1:2]


@pytest.mark.parametrize(("change", "words"), [(255.0, "pixels range from"), (torch.nan, "pixels range from nan")])
def test_ranges_are_not_found_from_images_of_another_range(source, variants, change, words):
    with pytest.raises(DataError, match=words):
        with_int8(variants[:1], source, IMAGES * change, Int8Settings())


def _changed(path, key: str, value: str | None) -> None:
    """With another value of a field of the metadata, or without it."""
    model = onnx.load(path)
    fields = {each.key: each.value for each in model.metadata_props}
    fields.pop(key)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, fields if value is None else {**fields, key: value})
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("key", "value", "error", "words"),
    [
        ("gdws_steps", None, CheckpointUnreadable, "not a network of gdws finetune --int8"),
        ("gdws_steps", "{", CheckpointUnreadable, "damaged metadata"),
        ("input_shape", '"x"', CheckpointUnreadable, "damaged metadata"),
        ("plan", "[]", CheckpointUnreadable, "damaged metadata"),
        ("net", "vgg16", GdwsError, "was made from vgg16"),
    ],
)
def test_other_files_are_refused(source, variants, tmp_path, key, value, error, words):
    path = tmp_path / "some.onnx"
    quantised.save(path, variants[3], source.input_shape, source.provenance)
    _changed(path, key, value)
    with pytest.raises(error, match=words):
        quantised.load(path, dense=source)


def test_a_file_of_something_else_is_refused(source, tmp_path):
    path = tmp_path / "some.onnx"
    path.write_bytes(b"not ONNX at all")
    with pytest.raises(CheckpointUnreadable):
        quantised.load(path, dense=source)
    with pytest.raises(CheckpointUnreadable, match="No such file"):
        quantised.load(tmp_path / "missing.onnx", dense=source)
