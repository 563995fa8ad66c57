"""``gdws evaluate`` on networks that are not classifiers, with annotations and without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from support.command import gdws
from support.vision_networks import write_networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))


def run(network: str, *arguments: object) -> Result:
    where = [f"{network}.pth", "--module", f"own_networks:{network}", "--input-shape", "3,64,64", "--data", "images"]
    return gdws("evaluate", *where, *arguments, "-q")


def metrics(network: str, *arguments: object) -> dict[str, float]:
    found = run(network, *arguments, "--json")
    assert found.exit_code == 0, found.output
    return {name: each["value"] for name, each in json.loads(found.stdout)["metrics"].items()}


@pytest.fixture(scope="module")
def plans(folder: Path) -> dict[str, Path]:
    """A plan that cuts each network down."""
    made = {}
    for network in ("detector", "segmenter", "heads"):
        made[network] = folder / f"plan-{network}.json"
        where = [folder / f"{network}.pth", "--module", f"own_networks:{network}", "--input-shape", "3,64,64"]
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(folder))
            found = gdws("plan", *where, "--data", folder / "images", "--mean-rank", 1, "-q", "--out", made[network])
        assert found.exit_code == 0, found.output
    return made


@pytest.mark.parametrize("network", ["detector", "segmenter", "heads"])
def test_without_labels_it_is_compared_with_the_dense_network(network: str, plans: dict[str, Path]) -> None:
    found = metrics(network, "--plan", plans[network])
    kind = {"detector": "detections_kept", "segmenter": "pixel_agreement", "heads": "relative_error.output_0"}[network]
    assert 0 < found[kind] < 1


def test_there_must_be_something_to_compare_with() -> None:
    found = run("detector")
    assert found.exit_code == 2
    assert "nothing to compare it with" in found.stderr
    assert "--annotations" in found.stderr


def test_a_detector_with_boxes_has_precision(folder: Path, plans: dict[str, Path]) -> None:
    pytest.importorskip("pycocotools")
    labels = folder / "boxes"
    labels.mkdir(exist_ok=True)
    for image in (folder / "images").iterdir():
        (labels / f"{image.stem}.txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.25 0.25 0.2 0.2\n")
    dense = metrics("detector", "--annotations", labels)
    assert set(dense) == {"map", "map_50"}
    assert 0 <= dense["map"] <= dense["map_50"] <= 1
    cut = metrics("detector", "--annotations", labels, "--plan", plans["detector"])
    assert {"map", "map_50", "detections_kept"} <= set(cut)
    shown = run("detector", "--annotations", labels)
    assert "mAP at IoU 0.5 to 0.95" in shown.stdout


def test_segmentation_with_masks_has_mean_iou(folder: Path) -> None:
    masks = folder / "masks"
    masks.mkdir(exist_ok=True)
    for image in (folder / "images").iterdir():
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(masks / f"{image.stem}.png")
    found = metrics("segmenter", "--annotations", masks)
    assert set(found) == {"mean_iou", "pixel_accuracy"}
    assert 0 < found["pixel_accuracy"] < 1
    wrong = run("detector", "--annotations", masks)
    assert wrong.exit_code == 2
    assert "masks" in wrong.stderr


def test_a_metric_of_the_users_own(plans: dict[str, Path]) -> None:
    options = ["--task", "outputs", "--metric", "own_networks:half_agree", "--plan", plans["detector"]]
    assert 0 < metrics("detector", *options)["half_agree"] <= 1


def test_annotations_say_nothing_of_a_network_without_such_a_task(folder: Path) -> None:
    (folder / "boxes").mkdir(exist_ok=True)
    (folder / "boxes" / "000.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    found = run("heads", "--annotations", folder / "boxes")
    assert found.exit_code == 2
    assert "annotations say nothing of a network of the task outputs" in found.stderr
