"""The whole way in small: convert, evaluate, pack, an agent of our own, measure, report."""

from __future__ import annotations

import json

import pytest

from gdws.evaluation.attacks import AttackSpec
from gdws.pipeline import AlphaSettings, BundleSettings, Recipe
from gdws.pipeline.demo import DemoFiles, DemoSettings, make, measure
from gdws.planning.budget import MeanRank
from gdws.results.stored import load_result
from gdws_contract.archive import open_bundle
from gdws_contract.rest import BenchmarkResult, Job, Protocol
from support.tiny import tiny_checkpoint

SETTINGS = DemoSettings(
    BundleSettings(
        recipes=(Recipe(MeanRank(1), layout="stacked", method="data-aware"), Recipe(MeanRank(2))),
        alphas=AlphaSettings(2),
        attack=AttackSpec(iterations=2, step=0.1),
        calibration=12,
        test=8,
        verification=4,
    ),
    batch_sizes=(1, 2),
    protocol=Protocol(warmup_ms=5, warmup_max_ms=20, min_duration_ms=20, min_iterations=8, rounds=2),
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoFiles, BenchmarkResult, list[str], list[Job]]:
    folder = tmp_path_factory.mktemp("demo")
    files = DemoFiles.within(folder / "out")
    lines: list[str] = []
    jobs: list[Job] = []
    checkpoint = str(tiny_checkpoint(folder))
    bundle_id = make(files, SETTINGS, checkpoint=checkpoint, tell=lines.append)
    result = measure(files, SETTINGS, bundle_id, tell=lines.append, on_job=jobs.append)
    return files, result, lines, jobs


Demo = tuple[DemoFiles, BenchmarkResult, list[str], list[Job]]


def test_every_cell_is_measured_and_passes_parity(demo: Demo) -> None:
    _, result, _, _ = demo
    names = ["dense", "data-rank-1-stacked", "mean-rank-2"]
    assert result.job.state == "done"
    assert not result.partial
    assert {(cell.key.variant, cell.key.batch_size) for cell in result.job.cells} == {
        (name, batch) for name in names for batch in (1, 2)
    }
    for cell in result.job.cells:
        assert cell.state == "done", cell.error
        assert cell.parity is not None
        assert cell.parity.passed
        assert cell.parity.robust == cell.parity.robust_host
        assert cell.latency is not None
        assert cell.latency.median_ms > 0
        assert (cell.speedup is None) == (cell.key.variant == "dense")
        assert cell.power is not None
        assert cell.power.mean_w is None
        assert cell.power.reason


def test_the_report_is_made_of_the_stored_result(demo: Demo) -> None:
    files, result, _, _ = demo
    assert load_result(files.result) == result
    with open_bundle(files.bundle) as bundle:
        bundle.verify()
        assert bundle.id == result.job.request.model_id
    summary = json.loads(files.json.read_text())["results"][0]
    headline = summary["headline"]
    assert headline.partition(":")[0] in files.html.read_text().replace("&#39;", "'")
    for text in (files.html.read_text(), files.markdown.read_text()):
        assert "data-rank-1-stacked" in text
        assert bundle.id in text
    assert "<svg" in files.html.read_text()


def test_the_plans_are_left_to_read(demo: Demo) -> None:
    files, _, _, _ = demo
    assert {path.name for path in files.plans.iterdir()} == {
        f"{name}.{suffix}" for name in ("data-rank-1-stacked", "mean-rank-2") for suffix in ("json", "txt")
    }
    assert "total" in (files.plans / "mean-rank-2.txt").read_text()


def test_each_step_is_told(demo: Demo) -> None:
    _, _, lines, jobs = demo
    assert [line[:3] for line in lines] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert jobs[-1].state == "done"
