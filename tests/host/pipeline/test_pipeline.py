"""The steps from a checkpoint to a bundle, on a narrow network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from gdws import datasets, pipeline
from gdws.errors import CheckpointError, DataError, GdwsError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.evaluate import evaluate
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline import BASELINE, Recipe, Source, Variant
from gdws.pipeline.quantisation import int8_doubts
from gdws.planning.budget import Beta, Gamma, MeanRank
from gdws_contract.archive import open_bundle
from gdws_contract.steps import Int8Step
from support.tiny import tiny_checkpoint

ATTACK = AttackSpec(iterations=2, step=0.1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Source:
    return pipeline.load(str(checkpoint))


@pytest.fixture(scope="module")
def data() -> datasets.Dataset:
    return datasets.load("mnist-sample")


class Counter:
    """Counts what is reported of progress."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.descriptions: list[str] = []

    def start(self, total: int, description: str) -> None:
        self.total += total
        self.descriptions.append(description)

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self.done += n


def test_load_tells_where_the_network_comes_from(checkpoint: Path, source: Source) -> None:
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert source.name == "mnist-preact-resnet"
    assert source.input_shape == (1, 28, 28)
    assert source.provenance == {
        "net": "mnist-preact-resnet",
        "checkpoint": "tiny.safetensors",
        "checkpoint_sha256": digest,
        "net_options": {"width": 4},
    }


def test_load_finds_the_weights_that_ship() -> None:
    assert pipeline.load("mnist-preact-resnet").provenance["checkpoint"] == "mnist-preact-resnet.safetensors"


def test_load_of_what_is_neither_file_nor_name() -> None:
    with pytest.raises(CheckpointError):
        pipeline.load("no-such-file.pt")


def test_names_of_recipes() -> None:
    names = [
        Recipe(MeanRank(2)),
        Recipe(MeanRank(2.5), layout="stacked"),
        Recipe(Beta(0.05)),
        Recipe(Gamma(64), layout="grouped"),
        Recipe(MeanRank(3), skip=("layer1.*",), label="late"),
        Recipe(MeanRank(2), layout="stacked", method="data-aware"),
    ]
    assert [recipe.name for recipe in names] == [
        "mean-rank-2",
        "mean-rank-2.5-stacked",
        "beta-0.05",
        "gamma-64-grouped",
        "mean-rank-3-late",
        "data-rank-2-stacked",
    ]


def test_the_dense_network_comes_first_and_is_left_alone(source: Source) -> None:
    before = {name: tensor.clone() for name, tensor in source.module.state_dict().items()}
    variants = pipeline.convert_all(source, [Recipe(MeanRank(1)), Recipe(Beta(0.1))])
    assert [variant.name for variant in variants] == [BASELINE, "mean-rank-1", "beta-0.1"]
    assert variants[0].module is source.module
    assert variants[0].plan is None
    assert all(torch.equal(before[name], tensor) for name, tensor in source.module.state_dict().items())


def test_alphas_are_used_where_a_recipe_asks_for_them(source: Source, data: datasets.Dataset) -> None:
    progress = Counter()
    weights = pipeline.calibrate_alphas(source, data.train.first(3), progress=progress)
    assert (progress.total, progress.done) == (3, 3)
    recipes = [Recipe(MeanRank(1)), Recipe(MeanRank(2), weighted=False)]
    _, weighted, plain = pipeline.convert_all(source, recipes, weights=weights)
    assert weighted.plan is not None
    assert plain.plan is not None
    assert (weighted.plan.weighted, plain.plan.weighted) == (True, False)


def test_calibration_images_are_attacked_on_the_network(source: Source, data: datasets.Dataset) -> None:
    progress = Counter()
    sample, attack = data.train.first(6), AttackSpec(eps=0.1, step=0.01, iterations=20, random_start=True)
    found = pipeline.calibration_images(source, sample, attack, batch_size=4, progress=progress)
    assert (progress.total, progress.done) == (6, 6)
    assert found.shape == sample.images.shape
    assert 0.01 < float((found - sample.images).abs().max()) <= 0.1 + 1e-6
    torch.testing.assert_close(found, pipeline.calibration_images(source, sample, attack, batch_size=2))
    assert pipeline.calibration_images(source, sample, None) is sample.images
    bytes_as_floats = datasets.Split(255 * sample.images, sample.labels)
    with pytest.raises(DataError, match="pixels range from 0 to 255"):
        pipeline.calibration_images(source, bytes_as_floats, attack)


@pytest.mark.parametrize("attack", [None, ATTACK])
def test_calibration_images_of_another_shape_are_refused(source: Source, attack: AttackSpec | None) -> None:
    others = datasets.Split(torch.rand(4, 1, 32, 32), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(DataError, match="calibration images are 1x32x32, but the network takes 1x28x28"):
        pipeline.calibration_images(source, others, attack)


def test_a_bundle_is_not_begun_with_images_of_another_shape(source: Source, tmp_path: Path) -> None:
    others = datasets.random_images(torch.nn.Flatten(), (1, 32, 32))
    told: list[str] = []
    settings = pipeline.BundleSettings(int8=Int8Settings())
    with pytest.raises(DataError, match="are 1x32x32, but the network takes 1x28x28") as caught:
        pipeline.make_bundle(tmp_path / "net.gdws", source, others, settings, tell=told.append)
    assert "--input-shape 1,32,32" in str(caught.value.hint)
    assert told == []


def test_data_aware_networks_need_images(source: Source, data: datasets.Dataset) -> None:
    recipe = Recipe(MeanRank(1), method="data-aware")
    with pytest.raises(GdwsError, match="no calibration images"):
        pipeline.convert_all(source, [recipe])
    _, made = pipeline.convert_all(source, [recipe], data=data.train.first(12).images)
    assert made.plan is not None
    assert made.plan.method == "data-aware"
    plans = {"again": made.plan}
    *_, again = pipeline.convert_all(source, [], plans=plans, data=data.train.first(12).images)
    assert again.plan == made.plan


def test_a_stored_plan_gives_the_same_network(source: Source) -> None:
    _, made = pipeline.convert_all(source, [Recipe(MeanRank(2))])
    assert made.plan is not None
    _, again = pipeline.convert_all(source, [], plans={"again": made.plan})
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(made.module(images), again.module(images))


def test_two_networks_of_one_name_are_refused(source: Source) -> None:
    with pytest.raises(GdwsError, match="two networks would have the name 'mean-rank-1'"):
        pipeline.convert_all(source, [Recipe(MeanRank(1)), Recipe(MeanRank(1.0))])


def test_a_gdws_network_is_evaluated_as_itself(source: Source, data: datasets.Dataset) -> None:
    """The dense form that the attack runs on gives the accuracies of the GDWS network."""
    images = data.test.first(24)
    _, variant = pipeline.convert_all(source, [Recipe(MeanRank(2), layout="stacked")])
    progress = Counter()
    found = pipeline.evaluate_one(variant, images, ATTACK, progress=progress)
    direct = evaluate(variant.module, images.images, images.labels, ATTACK)
    assert (found.natural, found.robust) == (direct.natural, direct.robust)
    assert progress.done == 24
    assert progress.descriptions == ["evaluate mean-rank-2-stacked"]


def test_a_bundle_holds_what_was_found(source: Source, data: datasets.Dataset, tmp_path: Path) -> None:
    variants = pipeline.convert_all(source, [Recipe(MeanRank(1))])
    variants = pipeline.evaluate_all(variants, data.test.first(6), "mnist-sample, test", ATTACK)
    path = tmp_path / "new" / "model.gdws"
    bundle_id = pipeline.pack(path, source, variants, data.test.first(4), "mnist-sample, test", ATTACK)
    with open_bundle(path) as bundle:
        bundle.verify()
        manifest = bundle.manifest
    assert bundle.id == bundle_id
    assert [variant.name for variant in manifest.variants] == ["dense", "mean-rank-1"]
    assert manifest.baseline == "dense"
    assert manifest.verification.count == 4
    assert manifest.provenance["checkpoint"] == "tiny.safetensors"
    evaluation = manifest.variants[1].evaluation
    assert evaluation is not None
    assert evaluation.natural is not None
    assert evaluation.natural.count == 6
    assert evaluation.attack is not None
    assert evaluation.attack.iterations == 2


def test_packing_again_gives_the_same_bundle(source: Source, data: datasets.Dataset, tmp_path: Path) -> None:
    variants = pipeline.convert_all(source, [Recipe(MeanRank(1))])
    ids = {
        pipeline.pack(tmp_path / f"{name}.gdws", source, variants, data.test.first(2), "test", None) for name in "ab"
    }
    assert len(ids) == 1
    assert (tmp_path / "a.gdws").read_bytes() == (tmp_path / "b.gdws").read_bytes()


def test_a_layout_that_is_slow_in_int8_is_told(source: Source) -> None:
    made = pipeline.convert_all(source, [Recipe(MeanRank(2), layout=layout) for layout in ("stacked", "grouped")])
    quantised = [Variant(f"{each.name}-int8", each.module, (*each.steps, Int8Step())) for each in made]
    [doubt] = int8_doubts([*made, *quantised], Int8Settings(scheme="asymmetric"))
    assert doubt.startswith("mean-rank-2-grouped-int8 has grouped layers, which ONNX Runtime has no fast INT8 kernel")
    assert int8_doubts(quantised, Int8Settings(scheme="symmetric")) == []
