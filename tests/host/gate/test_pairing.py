"""Two bundles as one, and what they tell of their networks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest

from gdws.errors import GdwsError
from gdws.gate.facts import Flips
from gdws.gate.figures import read_run
from gdws.gate.pairing import plan_pairing, write_run
from gdws.gate.records import network_facts
from gdws_contract.archive import open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.errors import BundleError
from support.benchmark_results import Net, attack_check, result
from support.bundles import tiny_bundle, tiny_parts


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "candidate.gdws", variants=("dense", "gdws", "new"))


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "baseline.gdws", variants=("dense", "gdws"))


def test_networks_of_the_same_name_are_paired(candidate: Path, baseline: Path) -> None:
    found = plan_pairing(candidate, baseline, None)
    assert found.networks == ("dense", "gdws", "new")
    assert found.paired == ("dense", "gdws")
    assert plan_pairing(candidate, baseline, ["new"]).paired == ()
    assert (found.gone, plan_pairing(baseline, candidate, None).gone) == ((), ("new",))
    assert plan_pairing(baseline, candidate, ["dense"]).gone == ()
    assert plan_pairing(candidate, None, None).paired == ()


@pytest.mark.parametrize(
    ("baseline_first", "order"),
    [
        (True, ["baseline.dense", "candidate.dense", "baseline.gdws", "candidate.gdws", "candidate.new"]),
        (False, ["candidate.dense", "baseline.dense", "candidate.gdws", "baseline.gdws", "candidate.new"]),
    ],
)
def test_a_run_holds_both_sides_in_turn(
    candidate: Path, baseline: Path, tmp_path: Path, baseline_first: bool, order: list[str]
) -> None:
    model_id = write_run(plan_pairing(candidate, baseline, None), tmp_path / "run.gdws", baseline_first=baseline_first)
    with open_bundle(tmp_path / "run.gdws") as run, open_bundle(baseline) as theirs:
        run.verify()
        assert run.id == model_id
        assert [variant.name for variant in run.manifest.variants] == order
        assert run.manifest.baseline == order[0]
        own, original = run.manifest.variant("baseline.gdws"), theirs.manifest.variant("gdws")
        assert own.adversarial_inputs is not None
        assert original.adversarial_inputs is not None
        assert run.read(own.adversarial_inputs) == theirs.read(original.adversarial_inputs)
        assert run.read(own.outputs[0]) == theirs.read(original.outputs[0])
        assert own.evaluation == original.evaluation


def test_no_two_runs_have_the_same_networks_by_their_bytes(candidate: Path, tmp_path: Path) -> None:
    pairing = plan_pairing(candidate, candidate, ["dense"])
    seen = set()
    for number in (1, 2):
        write_run(pairing, tmp_path / f"{number}.gdws", baseline_first=True)
        with open_bundle(tmp_path / f"{number}.gdws") as run:
            for variant in run.manifest.variants:
                content = run.read(variant.onnx)
                seen.add(run.manifest.members[variant.onnx].sha256)
                assert onnx.load_from_string(content).graph.node
    assert len(seen) == 4


def test_members_of_one_base_name_do_not_take_each_others_place(tmp_path: Path) -> None:
    fields, members = tiny_parts(variants=("dense",))
    (dense,) = fields["variants"]
    moved = {field: f"{number}/data.bin" for number, (field, _) in enumerate(dense.members())}
    files = {moved[field]: members.pop(path) for field, path in dense.members()}
    paths = {field: moved[field] for field in ("onnx", "adversarial_inputs")}
    paths |= {field: [moved[f"{field}[0]"]] for field in ("outputs", "adversarial_outputs")}
    fields["variants"] = [dense.model_copy(update=paths)]
    write_bundle(tmp_path / "flat.gdws", fields, {**members, **files})
    write_run(plan_pairing(tmp_path / "flat.gdws", None, None), tmp_path / "run.gdws", baseline_first=True)
    with open_bundle(tmp_path / "run.gdws") as run:
        (variant,) = run.manifest.variants
        for field, path in variant.members():
            if field != "onnx":
                assert run.read(path) == files[moved[field]]


@pytest.mark.parametrize("length", [89, 90, 91, 95, 100])
def test_names_of_any_length_go_into_a_run_and_come_back(tmp_path: Path, length: int) -> None:
    names = ("n" * length, "n" * (length - 1) + "m")
    bundle = tiny_bundle(tmp_path / "long.gdws", variants=names)
    pairing = plan_pairing(bundle, bundle, None)
    write_run(pairing, tmp_path / "run.gdws", baseline_first=False)
    with open_bundle(tmp_path / "run.gdws") as run:
        nets = [Net(variant.name) for variant in run.manifest.variants]
    found = read_run(result(nets), pairing)
    assert [subject.network for subject in found.candidate] == list(names)
    assert [subject.network for subject in found.baseline] == list(names)


def test_a_cell_that_nobody_asked_for_is_passed_over(candidate: Path) -> None:
    found = read_run(result([Net("candidate.dense"), Net("dense")]), plan_pairing(candidate, None, ["dense"]))
    assert [subject.network for subject in found.candidate] == ["dense"]


def test_more_networks_than_a_bundle_holds_are_refused_with_the_way_out(tmp_path: Path) -> None:
    many = tiny_bundle(tmp_path / "many.gdws", variants=[f"net-{index}" for index in range(33)], net="linear", count=2)
    assert len(plan_pairing(many, None, None).networks) == 33
    with pytest.raises(
        GdwsError, match="a run would have 66 networks, 33 of them of the baseline; the limit is 64"
    ) as caught:
        plan_pairing(many, many, None)
    assert "--variants" in str(caught.value.hint)
    assert len(plan_pairing(many, many, [f"net-{index}" for index in range(32)]).paired) == 32


def test_an_unknown_network_is_refused_with_the_known(candidate: Path) -> None:
    with pytest.raises(GdwsError, match="has no network 'densee'") as caught:
        plan_pairing(candidate, None, ["densee"])
    assert caught.value.hint == "it has dense, gdws, new"


@pytest.mark.parametrize("options", [{"seed": 1}, {"count": 8}])
def test_other_images_are_refused(candidate: Path, tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(GdwsError, match="contain different images: verification"):
        plan_pairing(candidate, tiny_bundle(tmp_path / "other.gdws", **options), None)


def test_another_task_is_refused(candidate: Path, tmp_path: Path) -> None:
    fields, members = tiny_parts()
    spec = fields["outputs"][0].model_copy(update={"name": "scores"})
    write_bundle(tmp_path / "other.gdws", {**fields, "outputs": [spec]}, members)
    with pytest.raises(GdwsError, match="different inputs or outputs"):
        plan_pairing(candidate, tmp_path / "other.gdws", None)


def test_what_is_no_onnx_file_is_told(tmp_path: Path) -> None:
    bad = tiny_bundle(tmp_path / "bad.gdws", faults={"gdws": "not-onnx"})
    with pytest.raises(BundleError, match="is not an ONNX file"):
        write_run(plan_pairing(bad, None, ["gdws"]), tmp_path / "run.gdws", baseline_first=True)


# Records


def with_logits(path: Path, natural: list[int], robust: list[int]) -> Path:
    """A bundle whose dense network recorded these classes for six images of class 0."""
    fields, members = tiny_parts(variants=("dense",), count=6)
    members["verification/labels.npy"] = _npy(np.zeros(6, dtype=np.int64))
    for name, classes in (("outputs", natural), ("adversarial_outputs", robust)):
        members[f"variants/dense/{name}.0.npy"] = _npy(np.eye(4, dtype=np.float32)[classes])
    write_bundle(path, fields, members)
    return path


def test_images_that_changed_sides_are_counted(tmp_path: Path) -> None:
    before = with_logits(tmp_path / "a.gdws", [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    after = with_logits(tmp_path / "b.gdws", [0, 1, 2, 0, 1, 0], [0, 0, 0, 0, 3, 3])
    (facts,) = network_facts(plan_pairing(after, before, None)).values()
    assert facts.natural == Flips(lost=2, gained=1)
    assert facts.robust == Flips(lost=2, gained=0)
    assert facts.baseline_size_bytes == facts.size_bytes


def test_alone_a_network_has_a_size_and_nothing_to_compare(candidate: Path) -> None:
    facts = network_facts(plan_pairing(candidate, None, ["new"]))["new"]
    assert (facts.baseline_size_bytes, facts.natural, facts.robust) == (None, None, None)
    with open_bundle(candidate) as opened:
        assert facts.size_bytes == opened.manifest.members["variants/new/model.onnx"].size


def test_without_adversarial_inputs_there_are_no_flips_of_them(tmp_path: Path) -> None:
    plain = tiny_bundle(tmp_path / "plain.gdws", adversarial=False)
    facts = network_facts(plan_pairing(plain, plain, None))["dense"]
    assert (facts.natural, facts.robust) == (Flips(0, 0), None)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_an_attack_on_either_side_that_fails_is_known(candidate: Path, tmp_path: Path, side: str) -> None:
    fields, members = tiny_parts(variants=("dense", "gdws", "new"))
    fields["variants"] = [
        entry.model_copy(
            update={"evaluation": entry.evaluation.model_copy(update={"attack_check": attack_check(random=True)})}
        )
        if entry.name == "gdws"
        else entry
        for entry in fields["variants"]
    ]
    failing = tmp_path / "failing.gdws"
    write_bundle(failing, fields, members)
    paths = (failing, candidate) if side == "candidate" else (candidate, failing)
    found = network_facts(plan_pairing(*paths, None))
    assert {name: facts.untrusted is None for name, facts in found.items()} == {
        "dense": True,
        "gdws": False,
        "new": True,
    }
    assert found["gdws"].untrusted is not None
    assert "the attack on gdws cannot be trusted (the network is random" in found["gdws"].untrusted
