"""Packing: what goes into a bundle is what was given, and the same twice."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch import nn

import gdws
from gdws.bundles.packing import VerificationSet, host_evaluation, pack
from gdws.bundles.variant import GdwsStep, Variant
from gdws.errors import DataError, ExportError, GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.evaluate import evaluate
from gdws_contract.archive import open_bundle
from gdws_contract.errors import ManifestInvalid
from gdws_contract.plan import Plan
from support.masked import Masked, problem

SHAPE = (2, 8, 8)
CLASSES = 4
ATTACK = AttackSpec(eps=0.1, step=0.05, iterations=3, seed=5)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    convolutions = [nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def converted(model):
    return gdws.convert(model, mean_rank=1.5, example_input=SHAPE)


@pytest.fixture(scope="module")
def variants(model, converted) -> list[Variant]:
    return [Variant("dense", model), Variant("gdws", converted[0], (GdwsStep(converted[1]),))]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(70, *SHAPE, generator=torch.Generator().manual_seed(1))  # more than a batch


@pytest.fixture(scope="module")
def verification(model, images) -> VerificationSet:
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    labels[0] = (labels[0] + 1) % CLASSES
    return VerificationSet(images, labels, "uniform noise", ATTACK)


@pytest.fixture(scope="module")
def path(tmp_path_factory, variants, verification):
    path = tmp_path_factory.mktemp("bundle") / "a.gdws"
    pack(path, name="net", variants=variants, verification=verification, provenance={"checkpoint_sha256": "ab" * 32})
    return path


@pytest.fixture
def bundle(path):
    with open_bundle(path) as opened:
        yield opened


def array(bundle, member: str) -> np.ndarray:
    return np.load(io.BytesIO(bundle.read(member)), allow_pickle=False)


class TestContent:
    def test_every_member_is_as_the_manifest_says(self, bundle):
        bundle.verify()
        assert set(bundle.manifest.members) == {path for _, path in bundle.manifest.pointers()}

    def test_the_verification_set(self, bundle, verification):
        stated = bundle.manifest.verification
        inputs, labels = array(bundle, stated.inputs), array(bundle, stated.labels)
        assert (inputs.dtype, labels.dtype) == (np.float32, np.int64)
        assert np.array_equal(inputs, verification.images.numpy())
        assert np.array_equal(labels, verification.labels.numpy())
        assert (stated.count, stated.data) == (70, "uniform noise")
        assert stated.attack.model_dump(exclude={"parts"}) == ATTACK.to_dict()

    def test_input_and_output(self, bundle):
        manifest = bundle.manifest
        assert (manifest.input.name, manifest.input.shape) == ("input", list(SHAPE))
        assert (manifest.input.low, manifest.input.high) == (0, 1)
        assert [(output.name, output.shape) for output in manifest.outputs] == [("logits", [CLASSES])]

    def test_logits_are_those_of_each_network(self, bundle, variants, images):
        for variant, stated in zip(variants, bundle.manifest.variants, strict=True):
            with torch.no_grad():
                expected = variant.module(images).numpy()
            assert np.abs(array(bundle, stated.outputs[0]) - expected).max() <= 1e-5 * np.abs(expected).max()

    def test_adversarial_inputs_are_made_on_each_variant(self, bundle, variants, verification):
        found = []
        for variant, stated in zip(variants, bundle.manifest.variants, strict=True):
            inputs = array(bundle, stated.adversarial_inputs)
            distance = np.abs(inputs - verification.images.numpy())
            assert inputs.dtype == np.float32
            assert inputs.min() >= 0
            assert inputs.max() <= 1
            assert 0 < distance.max() <= ATTACK.eps + 1e-6
            with torch.no_grad():
                logits = variant.module(torch.from_numpy(inputs))
                natural = variant.module(verification.images)
            assert np.abs(array(bundle, stated.adversarial_outputs[0]) - logits.numpy()).max() <= 1e-5
            loss = nn.functional.cross_entropy
            assert loss(logits, verification.labels) > loss(natural, verification.labels)
            found.append(inputs)
        assert not np.array_equal(*found)

    def test_roles_and_plan(self, bundle, converted):
        dense, reduced = bundle.manifest.variants
        assert (dense.role, dense.steps, dense.method, dense.layers) == ("baseline", [], "as trained", [])
        assert bundle.manifest.baseline == "dense"
        assert [step.kind for step in reduced.steps] == ["gdws"]
        assert reduced.role == "converted"
        assert reduced.method == "mean_rank=1.5, gather"
        assert Plan.from_json(bundle.read(reduced.plan)) == converted[1]

    def test_costs_agree_with_the_plan(self, bundle, converted):
        totals = converted[1].totals
        dense, reduced = bundle.manifest.variants
        assert (dense.macs, dense.parameters) == (totals.macs_dense, totals.parameters_dense)
        assert (reduced.macs, reduced.parameters) == (totals.macs_gdws, totals.parameters_gdws)

    def test_layers(self, bundle, converted):
        first, second, head = bundle.manifest.variants[1].layers
        planned = converted[1].layers[1]
        assert (first.name, first.converted, first.reason) == ("0", False, "the first convolution")
        assert (head.name, head.reason) == ("6", "linear")
        assert (second.total_rank, second.mean_rank, second.layout) == (9, 1.5, "gather")
        assert (second.error, second.macs_after) == (planned.e2, planned.macs_gdws)

    def test_provenance(self, bundle):
        assert bundle.manifest.provenance == {"torch": torch.__version__, "checkpoint_sha256": "ab" * 32}
        assert bundle.manifest.tool.version == gdws.__version__


def test_the_same_arguments_give_the_same_bundle(tmp_path, path, variants, verification):
    again = copy.deepcopy(variants)
    provenance = {"checkpoint_sha256": "ab" * 32}
    first = pack(tmp_path / "b.gdws", name="net", variants=again, verification=verification, provenance=provenance)
    assert (tmp_path / "b.gdws").read_bytes() == path.read_bytes()
    with open_bundle(path) as bundle:
        assert bundle.id == first


def test_what_is_packed_is_not_changed(tmp_path, model, verification):
    model = copy.deepcopy(model).train()
    before = copy.deepcopy(model.state_dict())
    pack(tmp_path / "a.gdws", name="net", variants=[Variant("dense", model)], verification=verification)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_an_attack(tmp_path, variants, verification):
    plain = VerificationSet(verification.images, verification.labels, "noise")
    pack(tmp_path / "a.gdws", name="net", variants=variants, verification=plain)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        assert bundle.manifest.verification.attack is None
        assert {variant.adversarial_inputs for variant in bundle.manifest.variants} == {None}
        assert not [member for member in bundle.manifest.members if "adversarial" in member]


def test_a_host_evaluation_goes_along(tmp_path, model, verification):
    found = evaluate(model, verification.images, verification.labels, ATTACK)
    variant = Variant("dense", model, evaluation=host_evaluation(found, "noise"))
    pack(tmp_path / "a.gdws", name="net", variants=[variant], verification=verification)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        (stated,) = bundle.manifest.variants
    assert stated.method == "as trained"
    assert (stated.evaluation.data, stated.evaluation.natural) == ("noise", found.natural)
    assert (stated.evaluation.robust, stated.evaluation.attack.seed) == (found.robust, 5)


def test_half_precision_networks_are_packed_in_float32(tmp_path, model, verification):
    variant = Variant("dense", copy.deepcopy(model).bfloat16())
    pack(tmp_path / "a.gdws", name="net", variants=[variant], verification=verification)
    with open_bundle(tmp_path / "a.gdws") as bundle, torch.no_grad():
        expected = copy.deepcopy(variant.module).float()(verification.images).numpy()
        assert np.abs(array(bundle, "variants/dense/outputs.0.npy") - expected).max() <= 1e-6


def test_progress_reaches_its_total(tmp_path, variants, verification):
    class Recorder:
        total, done = math.nan, 0

        def start(self, total, description):
            self.total = total

        def advance(self, n=1, **figures):
            self.done += n

    recorder = Recorder()
    for attack in (ATTACK, None):
        chosen = VerificationSet(verification.images, verification.labels, "noise", attack)
        recorder.done = 0
        pack(tmp_path / "a.gdws", name="net", variants=variants, verification=chosen, progress=recorder)
        assert recorder.done == recorder.total > 0


class TestRefusals:
    def refused(self, tmp_path, variants, verification, error, match=None, **options):
        with pytest.raises(error, match=match) as caught:
            pack(tmp_path / "a.gdws", **{"name": "net", **options}, variants=variants, verification=verification)
        assert list(tmp_path.iterdir()) == []
        return caught.value

    def test_no_variant_of_the_baselines_name(self, tmp_path, variants, verification):
        for chosen, baseline in (([], "dense"), (variants[1:], "dense"), (variants, "other")):
            error = self.refused(
                tmp_path, chosen, verification, GdwsError, f"no variant {baseline!r}", baseline=baseline
            )
            assert "name one of" in error.hint

    def test_nan(self, tmp_path, model, verification):
        broken = copy.deepcopy(model)
        broken[0].weight.data[0, 0, 0, 0] = float("nan")
        self.refused(tmp_path, [Variant("dense", broken)], verification, ExportError, "NaN")

    def test_infinity_on_the_verification_images_alone(self, tmp_path, model, verification):
        class Fragile(nn.Module):
            """Finite on most images, not on one of all zeros."""

            def __init__(self) -> None:
                super().__init__()
                self.network = model

            def forward(self, x):
                return self.network(x) / x.amax(dim=(1, 2, 3))[:, None]

        images = verification.images.clone()
        images[3] = 0
        chosen = VerificationSet(images, verification.labels, "noise")
        self.refused(tmp_path, [Variant("dense", Fragile())], chosen, ExportError, "'dense': logits is not finite")

    def test_networks_of_different_classes(self, tmp_path, variants, verification):
        other, plan = gdws.convert(nn.Sequential(*network()[:-1], nn.Linear(6, 9)), gamma=3)
        self.refused(
            tmp_path, [variants[0], Variant("gdws", other, (GdwsStep(plan),))], verification, ExportError, "and dense"
        )

    @pytest.mark.parametrize("label", [-1, CLASSES])
    def test_labels_out_of_range(self, tmp_path, variants, verification, label):
        labels = verification.labels.clone()
        labels[7] = label
        chosen = VerificationSet(verification.images, labels, "noise")
        self.refused(tmp_path, variants, chosen, DataError, "labels go from")

    def test_images_out_of_range(self, tmp_path, variants, verification):
        chosen = VerificationSet(verification.images * 255, verification.labels, "noise")
        self.refused(tmp_path, variants, chosen, DataError, "pixels")

    def test_images_of_another_shape(self, tmp_path, variants, verification):
        chosen = VerificationSet(verification.images[:, :1], verification.labels, "noise")
        self.refused(tmp_path, variants, chosen, ExportError, "does not run")

    def test_names_that_no_reader_takes(self, tmp_path, variants, verification, monkeypatch):
        dense, reduced = variants
        """And they are refused before the work, not after it."""
        chosen = VerificationSet(verification.images, verification.labels, "noise")
        monkeypatch.setattr("gdws.bundles.packing.export", None)
        error = self.refused(tmp_path, variants, chosen, ManifestInvalid, name="my net")
        assert error.field == "name"
        odd = [dense, Variant("../gdws", reduced.module, (GdwsStep(reduced.plan),))]
        assert self.refused(tmp_path, odd, chosen, ManifestInvalid).field == "variants[1].name"
        twice = [dense, Variant("dense", reduced.module, (GdwsStep(reduced.plan),))]
        assert self.refused(tmp_path, twice, chosen, ManifestInvalid).field == "variants"

    def test_provenance_that_is_no_json(self, tmp_path, variants, verification):
        chosen = VerificationSet(verification.images, verification.labels, "noise")
        options = {"provenance": {"when": object()}}
        assert self.refused(tmp_path, variants, chosen, ManifestInvalid, **options).field == "provenance"


def test_adversarial_inputs_of_a_network_that_hides_its_gradients(tmp_path):
    """The device replays what fools the network, not what an attack without gradients left."""
    clear, images, labels = problem(24)
    hidden = Masked(clear, lambda n, x: n((x * 255).round() / 255)).eval()
    attack = AttackSpec(eps=0.02, step=0.004, iterations=10)
    verification = VerificationSet(images, labels, "noise", attack)
    pack(tmp_path / "a.gdws", name="hidden", variants=[Variant("dense", hidden)], verification=verification)
    with open_bundle(tmp_path / "a.gdws") as opened:
        logits = array(opened, opened.manifest.variants[0].adversarial_outputs[0])
        inputs = array(opened, opened.manifest.variants[0].adversarial_inputs)
    assert np.abs(inputs - images.numpy()).max() <= 0.02 + 1e-6
    assert (logits.argmax(axis=1) == labels.numpy()).mean() < 0.5
