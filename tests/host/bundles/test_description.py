"""What a bundle holds, in words."""

import pytest

from gdws.bundles.description import describe
from gdws_contract.archive import open_bundle
from gdws_contract.archive_writer import write_bundle
from support.benchmark_results import attack_check
from support.bundles import tiny_bundle, tiny_parts


def test_describe(tmp_path):
    with open_bundle(tiny_bundle(tmp_path / "a.gdws", count=8)) as bundle:
        found = describe(bundle)
        facts = dict(found.facts)
        assert facts["id"] == bundle.id
    assert facts["name"] == "tiny"
    assert facts["input"] == "input: 2 x 8 x 8 float32"
    assert facts["output"] == "logits: 4 classes"
    assert (facts["task"], facts["labels"]) == ("classification", "given with the images")
    assert facts["verification"] == "8 images, uniform noise"
    assert facts["adversarial inputs"] == "on each variant, random-signs-0 (linf, eps 0.1)"
    assert facts["accuracies on"] == "uniform noise; random-signs-0 (linf, eps 0.1)"
    assert facts["seed"] == "0"
    assert "description" not in facts
    dense, gdws = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert (dense["variant"], dense["role"], dense["method"]) == ("dense", "baseline", "-")
    assert (gdws["variant"], gdws["role"], gdws["method"]) == ("gdws", "converted", "full rank, gather")
    assert (dense["MACs"], dense["natural"]) == ("6.94 k", "87.5 %")
    assert dense["ONNX"].endswith(" MiB")


def test_outputs_that_are_not_classes_are_listed(tmp_path):
    with open_bundle(tiny_bundle(tmp_path / "a.gdws", two_outputs=True, count=2)) as bundle:
        facts = describe(bundle).facts
    assert ("task", "outputs") in facts
    assert [text for name, text in facts if name == "output"] == ["logits: 4 float32", "class: one number int64"]
    assert ("labels", "none") in facts


def test_what_is_not_known_reads_as_a_dash(tmp_path):
    fields, members = tiny_parts(net="linear", count=2, adversarial=False)
    fields["variants"] = [
        entry.model_copy(update={"macs": None, "parameters": None, "evaluation": None}) for entry in fields["variants"]
    ]
    fields["provenance"] = {"images": {"range": [0, 1], "resize": "crop:256", "shape": None}}
    write_bundle(tmp_path / "a.gdws", {**fields, "description": "a test"}, members)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        found = describe(bundle)
    facts = dict(found.facts)
    assert facts["adversarial inputs"] == "none"
    assert facts["description"] == "a test"
    assert facts["images"] == "range 0, 1; resize crop:256"
    assert "accuracies on" not in facts
    row = dict(zip(found.columns, found.rows[0], strict=True))
    assert [row[name] for name in ("MACs", "parameters", "natural", "robust")] == ["-"] * 4


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1 k"), (694_634, "695 k"), (11_172_170, "11.2 M"), (2_000_000_000, "2 G")],
)
def test_numbers_are_short(number, text, tmp_path):
    fields, members = tiny_parts(net="linear", count=2)
    fields["variants"] = [entry.model_copy(update={"macs": number}) for entry in fields["variants"]]
    write_bundle(tmp_path / "a.gdws", fields, members)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        assert describe(bundle).rows[0][3] == text


def test_what_an_attack_did_not_find_is_said(tmp_path):
    fields, members = tiny_parts(count=2)
    check = attack_check(random=True)
    fields["variants"] = [
        entry.model_copy(update={"evaluation": entry.evaluation.model_copy(update={"attack_check": check})})
        for entry in fields["variants"]
    ]
    write_bundle(tmp_path / "a.gdws", fields, members)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        facts = describe(bundle).facts
    told = [(label, text) for label, text in facts if label.startswith("doubt on ")]
    assert [label for label, _ in told] == ["doubt on dense"] * 2 + ["doubt on gdws"] * 2
    assert told[0][1].startswith("The network is random")
