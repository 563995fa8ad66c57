"""Networks that are not classifiers, the whole way to a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gdws import datasets, pipeline
from gdws.errors import ModelError
from gdws.evaluation.tasks import Choice
from gdws.pipeline import Recipe, Source
from gdws.planning.budget import MeanRank
from gdws_contract.archive import open_bundle
from support.networks import TwoHeads, seeded


class SmallHead(nn.Module):
    """A YOLOv8 head of three classes on three strides, with weights that find something everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(3 if i == 0 else 8, 8, 3, stride=2, padding=1) for i in range(5))
        self.head = nn.ModuleList(nn.Conv2d(8, 7, 3, padding=1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = []
        for layer in self.down:
            x = torch.relu(layer(x))
            maps.append(x)
        found = [head(map_).flatten(2) for head, map_ in zip(self.head, maps[2:], strict=True)]
        joined = torch.cat(found, dim=2)
        cells = torch.arange(joined.shape[2]).to(joined)
        centre = torch.stack((cells % 8 * 8, cells // 8 * 6 % 64))[None].expand(len(x), -1, -1)
        return [torch.cat((centre, 12 + joined[:, 2:4], (4 * joined[:, 4:]).sigmoid()), dim=1)]


def packed(network: type[nn.Module], shape: tuple[int, int, int], path: Path, choice: Choice | None = None):
    source = Source("net", seeded(network), shape, {}, choice=choice or Choice())
    data = datasets.random_images(source.module, source.input_shape)
    recipes = [Recipe(MeanRank(2)), Recipe(MeanRank(2), method="data-aware")]
    weights = pipeline.calibrate_alphas(source, data.train.first(16))
    variants = pipeline.convert_fitted(source, recipes, data.train, None, weights=weights)
    variants = pipeline.evaluate_all(variants, data.test, "noise", None, task=source.task)
    pipeline.pack(path, source, variants, data.test.first(4), "noise", None)
    with open_bundle(path) as bundle:
        bundle.verify()
        return bundle.manifest


def test_outputs_of_several_heads(tmp_path: Path) -> None:
    manifest = packed(TwoHeads, (3, 8, 8), tmp_path / "net.gdws")
    assert manifest.task.kind == "outputs"
    assert [(each.name, each.dtype, each.shape) for each in manifest.outputs] == [
        ("heads.0", "float32", [2, 8, 8]),
        ("heads.1", "float32", [3]),
        ("class", "int64", []),
    ]
    assert manifest.verification.labels is None
    assert manifest.verification.origin == "noise"
    dense, by_weights, by_data = (each.evaluation.metrics for each in manifest.variants)
    assert dense["relative_error.heads.0"].value == 0
    for name in ("relative_error.heads.0", "relative_error.heads.1"):
        assert 0 < by_data[name].value < by_weights[name].value < 1
    assert dense["equal.class"].value == 1


def test_a_detector(tmp_path: Path) -> None:
    manifest = packed(SmallHead, (3, 64, 64), tmp_path / "net.gdws", Choice(score_threshold=0.4))
    assert manifest.task.kind == "detection"
    assert manifest.task.layout == "yolov8"
    assert manifest.task.score_threshold == 0.4
    dense, by_weights, by_data = (each.evaluation.metrics for each in manifest.variants)
    assert dense["detections_kept"].value == dense["detections_confirmed"].value == 1
    assert dense["detections_kept"].count > 100
    assert by_data["detections_kept"].value > by_weights["detections_kept"].value > 0


@pytest.mark.parametrize("network", [TwoHeads, SmallHead])
def test_a_classifier_is_not_what_it_is_taken_for(network: type[nn.Module], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not logits"):
        packed(network, (3, 64, 64), tmp_path / "net.gdws", Choice("classification"))


@pytest.mark.parametrize(("names", "kept"), [(["cat", "dog", "cow"], True), (["cat", "dog"], False), ([], False)])
def test_names_of_classes_are_kept_if_they_are_the_networks(names: list[str], kept: bool, tmp_path: Path) -> None:
    source = Source("net", seeded(SmallHead), (3, 64, 64), {})
    images = datasets.random_images(source.module, source.input_shape).test.first(2)
    pipeline.pack(
        tmp_path / "net.gdws", source, [pipeline.Variant("dense", source.module)], images, "x", None, class_names=names
    )
    with open_bundle(tmp_path / "net.gdws") as bundle:
        assert bundle.manifest.task.classes == (names if kept else None)
