"""Rules of the manifest that span fields."""

import pytest
from pydantic import ValidationError

from gdws_contract.manifest import HostEvaluation, Manifest, TensorSpec, Variant
from support.contract_examples import ATTACK, MANIFEST, PROPORTION


def test_variant_by_name():
    assert MANIFEST.variant("gdws").name == "gdws"
    with pytest.raises(KeyError):
        MANIFEST.variant("other")


def test_pointers_name_each_member():
    pointers = dict(MANIFEST.pointers())
    assert set(pointers.values()) == set(MANIFEST.members)
    assert pointers["verification.inputs"] == "inputs.npy"
    assert pointers["variants[1].onnx"] == "gdws/onnx"


def test_a_variant_without_extras_points_to_its_network_and_logits():
    variant = Variant(name="a", role="gdws", onnx="a.onnx", opset=17, logits="a.npy")
    assert variant.members() == [("onnx", "a.onnx"), ("logits", "a.npy")]


@pytest.mark.parametrize("missing", ["adversarial_inputs", "adversarial_logits"])
def test_adversarial_inputs_and_logits_go_together(missing):
    fields = MANIFEST.variants[0].model_dump()
    with pytest.raises(ValidationError, match="go together"):
        Variant.model_validate({**fields, missing: None})


def test_robust_accuracy_needs_its_attack():
    with pytest.raises(ValidationError, match="attack"):
        HostEvaluation(data="x", robust=PROPORTION)
    assert HostEvaluation(data="x", robust=PROPORTION, attack=ATTACK).attack == ATTACK
    assert HostEvaluation(data="x", natural=PROPORTION).robust is None


@pytest.mark.parametrize("shape", [[], [0], [-1, 3], [65_537], [1] * 9])
def test_shapes(shape):
    with pytest.raises(ValidationError):
        TensorSpec(name="input", shape=shape)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"baseline": "gdws"}, "baseline"),
        ({"baseline": "none"}, "baseline"),
        ({"variants": [MANIFEST.variants[0]] * 2}, "variants"),
        ({"members": {}}, "verification.inputs"),
        (
            {"members": {path: m for path, m in MANIFEST.members.items() if path != "gdws/plan"}},
            "variants[1].plan",
        ),
    ],
)
def test_rules_across_fields_name_the_culprit(change, field):
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate({**dict(MANIFEST), **change})
    (error,) = caught.value.errors()
    assert error["ctx"]["field"] == field


def test_there_is_no_date_in_it():
    """Packing the same content twice gives the same id."""
    assert not [name for name in Manifest.model_fields if "date" in name or "time" in name or name.endswith("_at")]


@pytest.mark.parametrize("field", ["variants", "layers"])
def test_a_long_list_of_faults_is_reported_by_its_first(field):
    """A small manifest must not cost a report of a hundred thousand lines."""
    bad = [{}] * 64
    change = {"variants": bad if field == "variants" else [{**dict(MANIFEST.variants[0]), "layers": bad}]}
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate({**dict(MANIFEST), **change})
    assert caught.value.error_count() < 10
