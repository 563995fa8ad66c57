"""Bundles and results of schema 1, as an earlier release wrote them, are read for ever."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gdws_contract.archive import open_bundle
from gdws_contract.manifest import Manifest
from gdws_contract.manifest_v1 import upgrade
from gdws_contract.rest import BenchmarkResult

FILES = Path(__file__).parent / "files"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_a_bundle():
    with open_bundle(FILES / "classifier-v1.gdws") as bundle:
        bundle.verify()
        manifest = bundle.manifest
        dense, converted = manifest.variants
        logits = np.load(io.BytesIO(bundle.read(converted.outputs[0])))
    assert bundle.id == "259b512e02154a317264eafff3783c4ce8c32a445076a42fb9306cecf58008cb"
    assert (manifest.schema_version, manifest.task.kind, manifest.classes) == (2, "classification", 3)
    assert logits.shape == (manifest.verification.count, manifest.classes)
    assert (manifest.verification.origin, dense.evaluation.origin) == ("labelled", "labelled")
    assert (dense.role, dense.steps, dense.method) == ("baseline", [], "as trained")
    assert (converted.role, converted.plan) == ("converted", "variants/mean-rank-3/plan.json")
    assert [layer.converted for layer in converted.layers] == [True, False]
    assert (dense.evaluation.natural.successes, dense.evaluation.robust.successes) == (5, 5)
    assert dense.adversarial_outputs == ["variants/dense/adversarial_logits.npy"]
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_a_result():
    result = BenchmarkResult.model_validate_json((FILES / "result-v1.json").read_bytes())
    parity = result.job.cells[0].parity
    assert (result.schema_version, result.manifest.schema_version) == (2, 2)
    assert (parity.outputs, parity.natural.successes) == ([], 5)
    assert BenchmarkResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("data", "origin"), [("random images, labelled by the network, test", "noise"), ("noise floor, test", "labelled")]
)
def test_the_origin_of_images(data, origin):
    upgraded = upgrade({"verification": {"data": data}, "variants": [{"evaluation": {"data": data}}]})
    assert upgraded["verification"]["origin"] == origin
    assert upgraded["variants"][0]["evaluation"]["origin"] == origin


def test_outputs_that_are_no_classes_are_outputs():
    assert upgrade({"output": {"name": "map", "shape": [2, 3], "low": 0}}) == {
        "schema_version": 2,
        "task": {"kind": "outputs"},
        "outputs": [{"name": "map", "shape": [2, 3]}],
    }


FIELDS = ("output", "verification", "variants", "layers", "plan", "logits", "evaluation", "adversarial_logits")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON))))
def test_what_is_malformed_is_left_to_validation(document):
    before = repr(document)
    with pytest.raises(ValidationError):
        Manifest.model_validate({**document, "schema_version": 1})
    assert repr(document) == before
