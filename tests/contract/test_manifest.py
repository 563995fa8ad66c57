"""Rules of the manifest that span fields."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gdws_contract.archive import open_bundle
from gdws_contract.manifest import HostEvaluation, Manifest, OutputSpec, TensorSpec, Variant, Verification
from gdws_contract.rest import BenchmarkResult
from gdws_contract.task import Classification, Outputs
from support.contract_examples import ATTACK, MANIFEST, PROPORTION

FILES = Path(__file__).parent / "files"


def test_files_of_this_schema_stay_readable():
    with open_bundle(FILES / "outputs-v2.gdws") as bundle:
        bundle.verify()
        assert bundle.id == "01b45ab6328e9fb0dfd845733cd78f65c8e12cae29bd440eab4a04dad42540b0"
        assert (bundle.schema_version, bundle.manifest.task) == (2, Outputs())
        assert [(output.name, output.dtype, output.shape) for output in bundle.manifest.outputs] == [
            ("logits", "float32", [4]),
            ("class", "int64", []),
        ]
        assert (bundle.manifest.verification.origin, bundle.manifest.verification.labels) == ("network", None)
    result = BenchmarkResult.model_validate_json((FILES / "result-v2.json").read_bytes())
    assert [output.passed for output in result.job.cells[0].parity.outputs] == [True, True]
    assert BenchmarkResult.model_validate_json(result.model_dump_json()) == result


def test_variant_by_name():
    assert MANIFEST.variant("gdws").name == "gdws"
    with pytest.raises(KeyError):
        MANIFEST.variant("other")


def test_pointers_name_each_member():
    pointers = dict(MANIFEST.pointers())
    assert set(pointers.values()) == set(MANIFEST.members)
    assert pointers["verification.inputs"] == "inputs.npy"
    assert pointers["variants[1].onnx"] == "gdws/onnx"


def test_a_variant_without_extras_points_to_its_network_and_outputs():
    variant = Variant(name="a", role="converted", onnx="a.onnx", opset=17, outputs=["a.npy", "b.npy"])
    assert variant.members() == [("onnx", "a.onnx"), ("outputs[0]", "a.npy"), ("outputs[1]", "b.npy")]
    assert (variant.plan, variant.layers) == (None, [])


def test_a_variant_is_relocated_with_everything_that_it_points_to():
    old = MANIFEST.variants[1]
    moved, files = old.relocated("run/x")
    assert files == {path: before for (_, path), (_, before) in zip(moved.members(), old.members())}
    assert dict(moved.members()) == {
        "onnx": "run/x/model.onnx",
        "steps[0].plan": "run/x/steps.0.plan.json",
        "outputs[0]": "run/x/outputs.0.npy",
        "adversarial_inputs": "run/x/adversarial_inputs.npy",
        "adversarial_outputs[0]": "run/x/adversarial_outputs.0.npy",
    }


@pytest.mark.parametrize("missing", [{"adversarial_inputs": None}, {"adversarial_outputs": []}], ids=str)
def test_adversarial_inputs_and_outputs_go_together(missing):
    fields = MANIFEST.variants[0].model_dump()
    with pytest.raises(ValidationError, match="go together"):
        Variant.model_validate({**fields, **missing})


def test_robust_accuracy_needs_its_attack():
    with pytest.raises(ValidationError, match="attack"):
        HostEvaluation(data="x", origin="labelled", metrics={"robust_accuracy": PROPORTION})
    known = {"data": "x", "origin": "labelled", "metrics": {"natural_accuracy": PROPORTION}}
    assert HostEvaluation(**known, attack=ATTACK).natural == PROPORTION
    assert HostEvaluation(**known).robust is None


def test_labelled_images_have_labels():
    with pytest.raises(ValidationError, match="labels"):
        Verification(inputs="x", count=1, data="x", origin="labelled")
    assert Verification(inputs="x", count=1, data="x", origin="network").labels is None


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
        ({"outputs": [OutputSpec(name="logits", shape=[1, 2])]}, "outputs"),
        ({"outputs": MANIFEST.outputs * 2, "task": Outputs()}, "outputs"),
        ({"task": Classification(classes=["a", "b"])}, "task.classes"),
        ({"outputs": [*MANIFEST.outputs, OutputSpec(name="b", shape=[])], "task": Outputs()}, "variants[0].outputs"),
        (
            {"members": {path: m for path, m in MANIFEST.members.items() if path != "gdws/plan"}},
            "variants[1].steps[0].plan",
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
    change = {
        "variants": bad
        if field == "variants"
        else [{**dict(MANIFEST.variants[0]), "steps": [{"kind": "gdws", "layers": bad}]}]
    }
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate({**dict(MANIFEST), **change})
    assert caught.value.error_count() < 10
