"""INT8 for real: distilled and quantised on the command line, measured by an agent beside floating point."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gdws.cli.entry import app
from gdws.results.stored import load_result
from gdws_contract.archive import open_bundle
from support.agent_process import running_agent
from support.brief_worker import BriefWorker
from support.tiny import tiny_checkpoint

FORMS = ["dense", "dense-int8", "data-rank-1-stacked-distilled", "data-rank-1-stacked-distilled-int8"]


def run(*arguments: object) -> str:
    shown = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    out = folder / "model.gdws"
    network = [tiny_checkpoint(folder), "--method", "data-aware", "--mean-rank", 1, "--layout", "stacked"]
    after = ["--distill", 2, "--int8", "onnxruntime", "--int8-skip", "linear"]
    run("convert", *network, *after, "--calibration", 64, "--images", 8, "--verification", 8, "--out", out, "-q")
    return out


def test_the_bundle_says_what_was_done(bundle):
    with open_bundle(bundle) as opened:
        variants = {variant.name: variant for variant in opened.manifest.variants}
    assert list(variants) == FORMS
    kinds = {name: [step.kind for step in variant.steps] for name, variant in variants.items()}
    assert list(kinds.values()) == [[], ["int8"], ["gdws", "distill"], ["gdws", "distill", "int8"]]
    assert variants["dense"].role == "baseline"
    step = variants["dense-int8"].steps[-1]
    assert step.calibration_images == 128  # 64, and the same attacked
    assert "ranges" in step.method
    assert step.method.endswith("asymmetric")
    assert step.skipped == ["linear"]
    assert all(variant.evaluation.natural is not None for variant in variants.values())
    assert all(variant.evaluation.robust is not None for variant in variants.values())


def test_an_agent_measures_it_beside_floating_point(bundle, tmp_path):
    out = tmp_path / "result.json"
    with running_agent(tmp_path / "data", BriefWorker()) as agent:
        run(
            *["bench", bundle, "--device", agent.url, "--backends", "onnxruntime", "--batch", 1, "--threads", 1],
            *["--min-duration", 0.1, "--warmup", 0.01, "--out", out, "-q"],
        )
    cells = {cell.key.variant: cell for cell in load_result(out).job.cells}
    assert list(cells) == FORMS
    for name, cell in cells.items():
        assert cell.latency is not None, cell.error
        assert cell.parity.passed
        assert cell.build.precision == ("int8" if name.endswith("int8") else "fp32")


def test_a_network_is_tuned_as_it_is_rounded_and_packed_beside_the_dense_one(tmp_path):
    network, tuned, out = tiny_checkpoint(tmp_path), tmp_path / "tuned.onnx", tmp_path / "model.gdws"
    fast = ["--batch-size", 512, "--iterations", 1, "--validation-iterations", 1, "--calibration", 32, "--epochs", 1]
    start = ["--mean-rank", 1, "--layout", "stacked", "--int8", "onnxruntime"]
    assert "validation natural" in run("finetune", network, *start, *fast, "--out", tuned, "-q")
    packed = ["--tuned", tuned, "--calibration", 32, "--images", 0, "--verification", 4]
    run("convert", network, *packed, "--out", out, "-q")
    with open_bundle(out) as opened:
        [_, variant] = opened.manifest.variants
    assert variant.name == "tuned"
    assert [step.kind for step in variant.steps][:2] == ["gdws", "int8"]  # fine-tuned, if an epoch was better
    assert variant.is_quantised
