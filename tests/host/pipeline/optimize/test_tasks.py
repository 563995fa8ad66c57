"""Optimisations of networks that are not classifiers: their agreement with the dense one is what may be lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gdws.datasets import Dataset, Split
from gdws.errors import GdwsError
from gdws.evaluation.tasks.choice import Choice
from gdws.networks.sources import Source
from gdws.pipeline.optimize import (
    AccuracyLimits,
    Effort,
    Goal,
    Images,
    Optimisation,
    Setting,
    Task,
    Tuning,
    optimize,
)
from gdws.results.report.optimisation import network_table, render
from gdws.training import DistillSettings
from gdws_contract.archive import open_bundle
from support import own_networks
from support.simulated_agent import SimulatedAgent


def _images(count: int, seed: int) -> Split:
    return Split(torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed)))


def _optimized(
    module: nn.Module, choice: Choice, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object
) -> Optimisation:
    agent = SimulatedAgent()
    monkeypatch.setattr("gdws.pipeline.optimize.meter.benchmark", agent.benchmark)
    data = Dataset("own", 0, _images(12, 0), _images(8, 1), _images(8, 2))
    wanted = Task(
        Source("own", module.eval(), (3, 64, 64), {}, choice=choice),
        Images(data, calibration=12, validation=8, test=8, verification=4),
        None,
        Setting("onnxruntime"),
        Goal("fastest"),
        AccuracyLimits(60.0, None),
        folder / "best.gdws",
        folder / "state",
        effort=Effort(rounds=1, judgements=2),
    )
    return optimize(replace(wanted, **changes), agent)


@pytest.mark.parametrize(
    ("make", "kind", "agreement", "metric"),
    [
        (own_networks.detector, "detection", "detections kept", "detections_kept"),
        (own_networks.segmenter, "segmentation", "pixels that agree", "pixel_agreement"),
        (own_networks.heads, "outputs", "agreement of the outputs", None),
    ],
)
def test_agreement_is_what_may_be_lost(
    make: object, kind: str, agreement: str, metric: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = _optimized(make(), Choice(kind), tmp_path, monkeypatch)  # type: ignore[operator]
    assert (found.status, found.agreement) == ("delivered", agreement)
    [best] = found.delivered
    assert best.final_natural is not None
    assert best.final_robust is None
    assert f"{agreement} −" in found.summary[0]
    with open_bundle(tmp_path / "best.gdws") as bundle:
        dense, optimised = bundle.manifest.variants
    assert optimised.evaluation is not None
    if metric is not None:
        kept = optimised.evaluation.metrics[metric].value
        assert best.final_natural.points == pytest.approx(100 * (1 - kept))
        assert dense.evaluation is not None
        assert dense.evaluation.metrics[metric].value == 1
    columns, rows = network_table(found)
    assert columns[5:] == [agreement, f"test {agreement}"]
    assert all(len(row) == len(columns) for row in rows)
    assert agreement in render(found, ".html")


def test_a_network_that_agrees_too_little_is_not_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = _optimized(
        own_networks.segmenter(), Choice("segmentation"), tmp_path, monkeypatch, limits=AccuracyLimits(0.0, None)
    )
    assert found.status == "declined"
    assert "of pixels that agree" in found.reason


def test_images_without_detections_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = own_networks.detector()
    for head in network.head:
        torch.nn.init.constant_(head.bias, -20.0)
    with pytest.raises(GdwsError, match="no metric of detection says how far two networks agree on these 8 images"):
        _optimized(network, Choice("detection"), tmp_path, monkeypatch)


def test_what_needs_classes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(GdwsError, match="own is not a classifier"):
        _optimized(
            own_networks.segmenter(),
            Choice("segmentation"),
            tmp_path,
            monkeypatch,
            tuning=Tuning(distill=DistillSettings(steps=2)),
        )
