"""The whole way in small: convert as published, optimise, an agent of our own, measure, report."""

from __future__ import annotations

import json

import pytest

from gdws.errors import GdwsError
from gdws.pipeline import AlphaSettings, Recipe
from gdws.pipeline.demo import DemoFiles, DemoSettings, Watcher, agent, make, measure, shipped
from gdws.pipeline.optimize import Effort
from gdws.planning.budget import MeanRank
from gdws.results.optimisation import Optimisation
from gdws.results.stored import load_result
from gdws_contract.archive import open_bundle
from gdws_contract.rest import BenchmarkResult, Job, Protocol
from support.tiny import tiny_checkpoint

SETTINGS = DemoSettings(
    published=Recipe(MeanRank(2), layout="stacked"),
    alphas=AlphaSettings(2),
    calibration=12,
    validation=8,
    choosing_steps=2,
    test=8,
    verification=4,
    batch_sizes=(1, 2),
    protocol=Protocol(warmup_ms=5, warmup_max_ms=20, min_duration_ms=20, min_iterations=8, rounds=2),
    search_ms=20.0,
    effort=Effort(rounds=1, judgements=1),
)

Demo = tuple[DemoFiles, Optimisation, BenchmarkResult, list[str], list[Job]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    files = DemoFiles.within(folder / "out")
    lines: list[str] = []
    jobs: list[Job] = []
    watcher = Watcher(lines.append, on_job=jobs.append)
    with agent(files) as device:
        found = make(files, SETTINGS, device, checkpoint=str(tiny_checkpoint(folder)), watcher=watcher)
        result = measure(files, SETTINGS, device, watcher=watcher)
    return files, found, result, lines, jobs


def test_the_dense_network_the_published_method_and_ours_are_measured_side_by_side(demo: Demo) -> None:
    _, found, result, _, _ = demo
    ours = ["optimised"] if found.delivered else []
    assert result.job.state == "done"
    assert not result.partial
    assert {(cell.key.variant, cell.key.batch_size) for cell in result.job.cells} == {
        (name, batch) for name in ["dense", *ours, "mean-rank-2-stacked"] for batch in (1, 2)
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
    files, found, result, _, _ = demo
    assert load_result(files.result) == result
    with open_bundle(files.bundle) as bundle:
        bundle.verify()
        assert bundle.id == result.job.request.model_id == found.bundle_id
        evaluations = {variant.name: variant.evaluation for variant in bundle.manifest.variants}
        assert all(each is not None and each.attack is not None for each in evaluations.values())
        assert {each.attack.iterations for each in evaluations.values()} == {40}
    summary = json.loads(files.json.read_text())["results"][0]
    headline = summary["headline"]
    assert headline.partition(":")[0] in files.html.read_text().replace("&#39;", "'")
    for text in (files.html.read_text(), files.markdown.read_text()):
        assert "mean-rank-2-stacked" in text
        assert bundle.id in text
    assert "<svg" in files.html.read_text()
    assert "Layer by layer" in files.search.read_text()


def test_the_plans_are_left_to_read(demo: Demo) -> None:
    files, _, _, _, _ = demo
    assert "total" in (files.plans / "mean-rank-2-stacked.txt").read_text()
    assert (files.plans / "mean-rank-2-stacked.json").exists()


def test_each_step_says_what_is_run(demo: Demo) -> None:
    _, _, _, lines, jobs = demo
    assert [line[:3] for line in lines if line[1:3] == "/4"] == ["1/4", "2/4", "3/4", "4/4"]
    [protocol] = [line for line in lines if line.startswith("2/4")]
    assert "choices on 8 images under PGD-2" in protocol
    assert "8 test images under PGD-40" in protocol
    assert jobs[-1].state == "done"


def test_data_without_a_network_is_refused() -> None:
    with pytest.raises(GdwsError, match="no network for 'cifar10'"):
        shipped("cifar10")
