"""The command line: what it prints, where, and the exit codes that scripts rely on."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest
from typer.testing import Result

from gdws import datasets, training
from gdws.cli.entry import app
from gdws.cli.options.images import ImageOptions
from gdws.networks import zoo as nets
from gdws.onnx_io.export import export
from gdws.results.stored import load_result, save_result
from gdws.training import PRESETS, EpochRecord, FinetuneSettings, TrainResult, TrainSettings
from gdws_contract.archive import open_bundle
from gdws_contract.engines import EngineOptions
from gdws_contract.plan import Plan
from gdws_contract.problems import Problem
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Cell
from support.benchmark_results import CUT, DENSE, KEPT, cell, failed_cell, parity_failed_cell, result
from support.command import gdws
from support.fake_agent import FakeAgent, make_bundle
from support.tiny import tiny_checkpoint

FIRST = cell(DENSE, DENSE, 1)
SECOND = cell(KEPT, DENSE, 1)
COMMANDS = (
    "demo", "train", "finetune", "plan", "convert", "evaluate", "inspect", "bench", "profile", "history", "report",
    "compare", "export", "gate", "noise", "baseline", "nets",
)  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.gdws"
    make_bundle(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("net"))


def assert_failed(found: Result, code: int, *words: str) -> None:
    assert found.exit_code == code, found.output
    assert found.stderr.startswith("error: ")
    assert "Traceback" not in found.output
    for word in words:
        assert word in found.stderr


# Help


def test_help_names_the_commands_and_the_exit_codes() -> None:
    shown = gdws("--help").stdout
    for words in (*COMMANDS, "0    done", "1    measured", "2    bad input", "3    the device", "130  interrupted"):
        assert words in shown


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "nets"])
def test_each_command_teaches_by_examples(command: str) -> None:
    shown = gdws(command, "--help")
    assert shown.exit_code == 0
    assert f"    gdws {command}" in shown.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["bench"], ["report"], ["bench", "a", "--rounds", "many"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert gdws(*arguments).exit_code == 2


def test_bench_shows_what_everybody_needs_before_what_few_do() -> None:
    shown = gdws("bench", "--help").stdout
    sections = ["\nOptions:", "\nMeasurement:", "\nPower modes, energy and temperature", "\nEngine options"]
    places = [shown.index(section) for section in sections]
    assert places == sorted(places)
    for option, section in [("--batch", 0), ("--rounds", 1), ("--power-mode", 2), ("--builds", 3)]:
        place = shown.rindex(f"  {option} ")
        assert places[section] < place < [*places, len(shown)][section + 1]


def test_version() -> None:
    assert gdws("--version").stdout == "gdws 0.1.0\n"


def test_fine_tuning_defaults_are_those_of_the_settings() -> None:
    (command,) = [command for command in app.registered_commands if command.name == "finetune"]
    assert command.callback is not None
    defaults = {name: parameter.default for name, parameter in signature(command.callback).parameters.items()}
    settings = dataclasses.asdict(FinetuneSettings())
    shared = set(settings) & set(defaults)
    assert len(shared) >= 9
    for name in shared:
        assert getattr(defaults[name], "value", defaults[name]) == settings[name], name


def test_presets_can_be_named_and_their_values_are_shown() -> None:
    assert all(f"'{name}'" in gdws("train", "--preset", "none", "--out", "x").stderr for name in PRESETS)
    shown = gdws("train", "--help").stdout
    for name, preset in PRESETS.items():
        (line,) = [line for line in shown.splitlines() if line.strip().startswith(f"{name} ")]
        settings = preset.settings
        words = (
            preset.data,
            settings.net,
            settings.epochs,
            f"PGD-{settings.iterations},",
            f"{settings.learning_rate:g},",
        )
        for word in words:
            assert str(word) in line.split(), (word, line)


def test_a_preset_is_what_is_trained_but_for_what_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainSettings] = []

    def train(settings: TrainSettings, *_: object, **__: object) -> TrainResult:
        asked.append(settings)
        return TrainResult(tmp_path, EpochRecord(1, 0.5, 0.9, 0.8), ())

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(ImageOptions, "open", lambda *_, **__: None)
    common = ("train", "--data", "mnist-sample", "--out", tmp_path / "n.safetensors", "-q")
    rice = PRESETS["cifar10-rice"].settings
    assert gdws(*common).exit_code == 0
    assert gdws(*common, "--preset", "cifar10-rice", "--epochs", 3, "--no-flip", "--precision", "bf16").exit_code == 0
    assert gdws(*common, "--preset", "cifar10-rice", "--eps", 0.1).exit_code == 0
    assert asked == [
        PRESETS["mnist"].settings,
        dataclasses.replace(rice, epochs=3, flip=False, precision="bf16"),
        dataclasses.replace(rice, eps=0.1, step=None),  # its step was for its own radius
    ]


def test_fine_tuning_from_a_checkpoint_to_a_bundle(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = datasets.load("mnist-sample")
    few = dataclasses.replace(whole, train=whole.train.first(64), validation=whole.validation.first(16))
    monkeypatch.setattr(datasets, "load", lambda name, **_: few)
    tuned, bundle, again = tmp_path / "tuned.safetensors", tmp_path / "t.gdws", tmp_path / "again.safetensors"
    quick = ("--epochs", 1, "--iterations", 1, "--validation-iterations", 1, "-q")
    found = gdws("finetune", checkpoint, "--mean-rank", 1, "--calibration", 20, "--out", tuned, *quick, "--json")
    assert found.exit_code == 0, found.output
    content = json.loads(found.stdout)
    assert content["start"]["epoch"] == 0
    assert content["best"]["robust"] >= content["start"]["robust"]
    assert "epoch 1: loss" in found.stderr
    shown = json.loads(gdws("evaluate", tuned, "--attack", "none", "--images", 5, "--json", "-q").stdout)
    assert shown["variant"] == "tuned"
    packing = ("--images", 0, "--verification", 2, "--attack", "none", "--out", bundle, "-q")
    assert gdws("convert", checkpoint, "--tuned", tuned, *packing).exit_code == 0
    with open_bundle(bundle) as opened:
        assert [variant.name for variant in opened.manifest.variants] == ["dense", "tuned"]
    assert gdws("finetune", bundle, "--out", again, *quick).exit_code == 0
    natural = gdws("finetune", bundle, "--eps", 0, "--out", tmp_path / "natural.safetensors", *quick)
    assert "validation natural" in natural.stdout, natural.output
    assert "robust" not in natural.output
    assert_failed(gdws("finetune", bundle, "--variant", "dense", "--out", again, *quick), 2, "tuned")
    assert_failed(gdws("finetune", tuned, "--mean-rank", 1, "--out", again, *quick), 2, "already converted")
    assert_failed(gdws("finetune", checkpoint, "--variant", "x", "--out", again, *quick), 2, "not a bundle")
    assert_failed(gdws("finetune", checkpoint, "--out", again, *quick), 2, "dense network", "--mean-rank")
    assert_failed(gdws("convert", tuned, "--mean-rank", 1, *packing), 2, "already converted")


@pytest.mark.parametrize("kind", ["module", "onnx"])
def test_a_network_of_ones_own_is_trained_converted_tuned_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    whole = datasets.load("mnist-sample")
    few = dataclasses.replace(whole, train=whole.train.first(64), validation=whole.validation.first(16))
    monkeypatch.setattr(datasets, "load", lambda name, **_: few)
    file = tmp_path / "own.onnx"
    file.write_bytes(export(nets.build("mnist-preact-resnet", width=2).eval(), (1, 28, 28)))
    factory = "gdws.networks.zoo:build", "--module-option", "name=mnist-preact-resnet", "--module-option", "width=2"
    own = ("--onnx", file) if kind == "onnx" else ("--module", *factory, "--input-shape", "1,28,28")
    trained, tuned, again = (tmp_path / f"{name}.safetensors" for name in ("trained", "tuned", "again"))
    bundle, quick = tmp_path / "t.gdws", ("--epochs", 1, "--iterations", 1, "--validation-iterations", 1, "-q")
    found = gdws("train", *own, "--out", trained, *quick)
    assert found.exit_code == 0, found.output
    found = gdws("finetune", trained, *own, "--mean-rank", 1, "--calibration", 20, "--out", tuned, *quick)
    assert found.exit_code == 0, found.output
    packing = ("--images", 0, "--verification", 2, "--attack", "none", "--out", bundle, "-q")
    found = gdws("convert", trained, *own, "--tuned", tuned, *packing)
    assert found.exit_code == 0, found.output
    for stored in (tuned, bundle):
        found = gdws("finetune", stored, *own, "--out", again, *quick)
        assert found.exit_code == 0, found.output
        assert_failed(gdws("finetune", stored, "--out", again, *quick), 2, "--onnx or --module")
    found = gdws("evaluate", tuned, *own, "--attack", "none", "--images", 5, "--json", "-q")
    assert json.loads(found.stdout)["variant"] == "tuned"
    assert_failed(gdws("convert", "mnist-preact-resnet", "--tuned", tuned, *packing), 2, "was made from")


# bench


def test_bench_prints_a_table_and_the_verdict(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("running", []), ("done", [FIRST, SECOND])]) as agent:
        found = gdws(
            "bench", bundle, "--device", agent.url, "--batch", "1,8", "--rounds", 5, "--min-duration", 0.5,
            "--variants", "dense,mean-rank-4", "--label", "a label", "--out", tmp_path / "r.json",
        )  # fmt: skip
    (request,) = agent.requests
    assert request.batch_sizes == [1, 8]
    assert request.variants == ["dense", "mean-rank-4"]
    assert (request.protocol.rounds, request.protocol.min_duration_ms, request.label) == (5, 500.0, "a label")
    assert "1.33×" in found.stdout
    assert "mean-rank-4 runs 1.33× as fast as the baseline at batch 1" in found.stdout
    assert "wrote" in found.stderr
    assert load_result(tmp_path / "r.json").job.cells == [FIRST, SECOND]


def test_bench_is_exit_0_if_all_is_well(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("done", [FIRST, SECOND])]) as agent:
        assert gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json").exit_code == 0


def test_everything_that_a_jetson_can_be_asked_is_sent(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("done", [FIRST, SECOND])]) as agent:
        gdws(
            "bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json", "-q",
            "--power-mode", "MAXN", "--power-mode", "2", "--jetson-clocks", "--idle", 10, "--sustained", 300,
            "--builds", 5, "--build-timeout", 60, "--optimization-level", 4, "--workspace", 512,
            "--batch-profile", "all", "--cuda-graph", "--dla-core", 1, "--no-gpu-fallback",
        )  # fmt: skip
    (request,) = agent.requests
    assert request.power_modes == ["MAXN", 2]
    assert request.jetson_clocks is True
    assert (request.protocol.idle_ms, request.protocol.sustained_ms) == (10_000.0, 300_000.0)
    assert request.engine == EngineOptions(
        builds=5,
        build_timeout_s=60.0,
        optimization_level=4,
        workspace_mib=512,
        batch_profile="all",
        cuda_graph=True,
        dla_core=1,
        gpu_fallback=False,
    )


def test_what_is_not_asked_is_left_to_the_device(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("done", [FIRST, SECOND])]) as agent:
        gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json", "-q")
        gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json", "-q", "--no-jetson-clocks")
    first, second = agent.requests
    assert first == BenchmarkRequest(model_id=first.model_id)
    assert (first.jetson_clocks, second.jetson_clocks) == (None, False)


def test_bench_json_is_the_result_alone(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("done", [FIRST, SECOND])]) as agent:
        found = gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json", "--json")
    assert BenchmarkResult.model_validate_json(found.stdout) == load_result(tmp_path / "r.json")


def test_a_parity_failure_is_exit_1(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("done", [FIRST, parity_failed_cell(KEPT, 1)])]) as agent:
        found = gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json")
    assert found.exit_code == 1
    assert "FAILED" in found.stdout
    assert "failed parity" in found.stdout


def test_a_job_that_fails_is_exit_3(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("interrupted", [FIRST])]) as agent:
        found = gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json")
    assert found.exit_code == 3
    assert "error: the job is interrupted" in found.stderr


def test_an_agent_that_goes_away_is_exit_3_and_the_cells_are_kept(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("running", [FIRST])], then="vanish") as agent:
        found = gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json", "--patience", 0)
    assert found.exit_code == 3
    assert "1 finished cell kept in" in found.stderr
    assert load_result(tmp_path / "r.json").partial


def test_garbage_is_exit_3_without_control_characters(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("running", [])], then="garbage") as agent:
        found = gdws("bench", bundle, "--device", agent.url, "--out", tmp_path / "r.json", "-q")
    assert_failed(found, 3, "not a gdws agent")
    assert "\x1b[31m" not in found.stderr


def test_no_agent_is_exit_3_with_a_hint(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([]) as agent:
        url = agent.url
    assert_failed(
        gdws("bench", bundle, "--device", url, "--out", tmp_path / "r.json", "-q"), 3, "hint:  start the agent"
    )


def test_a_refusal_shows_field_and_hint(bundle: Path, tmp_path: Path) -> None:
    agent = FakeAgent([])
    agent.refusal = Problem(
        type="urn:gdws:problem:unknown-backend", title="Unknown", status=422,
        detail="there is no backend 'tensorrt'", field="backends[0]", hint="known are onnxruntime",
    )  # fmt: skip
    with agent:
        found = gdws(
            "bench", bundle, "--device", agent.url, "--backends", "tensorrt", "--out", tmp_path / "r.json", "-q"
        )
    assert_failed(found, 3, "backends[0]: there is no backend", "hint:  known are onnxruntime")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "0"], "batch_sizes[0]"),
        (["--batch", "1,1"], "batch_sizes"),
        (["--batch", "one"], "not a list of whole numbers"),
        (["--rounds", "1"], "protocol.rounds"),
        (["--min-duration", "-1"], "protocol.min_duration_ms"),
        (["--variants", "a b"], "variants[0]"),
        (["--precision", "fp32,"], "precisions[1]"),
        (["--power-mode", "99"], "power_modes[0]"),
        (["--power-mode", "MAXN", "--power-mode", "MAXN"], "power_modes"),
        (["--idle", "-1"], "protocol.idle_ms"),
        (["--builds", "0"], "engine.builds"),
        (["--optimization-level", "6"], "engine.optimization_level"),
    ],
)
def test_bad_requests_are_exit_2_before_any_agent_is_asked(bundle: Path, options: list[str], words: str) -> None:
    assert_failed(gdws("bench", bundle, "--device", "http://127.0.0.1:9", *options), 2, words)


def test_what_is_no_bundle_is_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "model.gdws"
    path.write_bytes(b"PK\x03\x04 truncated")
    assert_failed(gdws("bench", path), 2)
    assert_failed(gdws("bench", tmp_path / "absent.gdws"), 2, "absent.gdws: No such file", "hint:  check the path")


def heed_interrupts() -> None:
    """Undo what a shell does to the jobs that it starts in the background: these ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_keeps_and_is_exit_130(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    with FakeAgent([("running", [FIRST])]) as agent:
        command = [sys.executable, "-m", "gdws", "bench", str(bundle), "--device", agent.url, "--out", "r.json"]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts)
        assert process.stderr is not None
        for line in process.stderr:  # until the cell is shown
            if line.startswith("dense"):
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == 130, rest
    assert "1 finished cell kept in r.json" in rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert agent.cancelled == ["job-1"]
    assert load_result(tmp_path / "r.json").partial


# profile


def profiled(**fields: object) -> Cell:
    layers = [
        LayerTime(name="conv1/Conv + Relu", source="conv1", kind="Conv", mean_ms=3.0, share=0.75),
        LayerTime(name="Flatten", mean_ms=1.0, share=0.25),
    ]
    profile = LayerProfile(tool="a profiler", iterations=50, total_ms=4.0, layers=layers)
    return FIRST.model_copy(update={"latency": None, "fps": None, "profile": profile, **fields})


def test_profile_prints_layers_with_sources_and_bars(bundle: Path, tmp_path: Path) -> None:
    with FakeAgent([("running", []), ("done", [profiled()])]) as agent:
        found = gdws(
            "profile", bundle, "--device", agent.url, "--variant", "dense", "--backend", "onnxruntime", "--batch", 4,
            "--precision", "fp16", "--iterations", 9, "--threads", 2, "--dla-core", 1, "--out", tmp_path / "p.json",
        )  # fmt: skip
    (asked,) = agent.profiles
    assert (asked.variant, asked.backend, asked.precision, asked.batch_size) == ("dense", "onnxruntime", "fp16", 4)
    assert (asked.options.iterations, asked.threads, asked.engine.dla_core) == (9, 2, 1)
    assert found.exit_code == 0, found.output
    assert "2 layers, 4.00 ms in total" in found.stdout
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("conv1/Conv + Relu")]
    assert line.split()[3:7] == ["conv1", "Conv", "3.00", "75.0"]
    assert line.rstrip().endswith("█" * 20)
    assert "wrote" in found.stderr
    assert load_result(tmp_path / "p.json").job.cells == [profiled()]


def test_profile_without_out_writes_nothing(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeAgent([("done", [profiled()])]) as agent:
        found = gdws("profile", bundle, "--device", agent.url, "--by-source", "-q")
    assert "(none)" in found.stdout
    assert [path.name for path in tmp_path.iterdir()] == [bundle.name]


def test_profile_json_is_the_result_alone(bundle: Path) -> None:
    with FakeAgent([("done", [profiled()])]) as agent:
        found = gdws("profile", bundle, "--device", agent.url, "--json", "-q")
    assert BenchmarkResult.model_validate_json(found.stdout).job.cells == [profiled()]


def test_a_profile_that_failed_is_exit_1_with_the_reason(bundle: Path) -> None:
    with FakeAgent([("done", [failed_cell(DENSE, 1, "onnxruntime-cuda cannot time single layers")])]) as agent:
        found = gdws("profile", bundle, "--device", agent.url, "-q")
    assert found.exit_code == 1
    assert "cannot time single layers" in found.stderr


def test_a_profile_job_that_ended_early_is_exit_3(bundle: Path) -> None:
    with FakeAgent([("cancelled", [])]) as agent:
        assert_failed(gdws("profile", bundle, "--device", agent.url, "-q"), 3, "the job is cancelled")
    with FakeAgent([("done", [])]) as agent:
        assert_failed(gdws("profile", bundle, "--device", agent.url, "-q"), 3, "without a result")


def test_a_bad_profile_is_exit_2_before_any_agent_is_asked(bundle: Path) -> None:
    profile = ("profile", bundle, "--device", "http://127.0.0.1:9")
    assert_failed(gdws(*profile, "--iterations", "0"), 2, "iterations", "gdws profile --help")
    refused = gdws(*profile, "--batch", "0")
    assert (refused.exit_code, "Invalid value for '--batch'" in refused.stderr) == (2, True)


# report


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    save_result(result([DENSE, KEPT, CUT]), path)
    return path


@pytest.mark.parametrize("suffix", ["html", "md", "json", "csv"])
def test_report_writes_each_format(stored: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"report.{suffix}"
    assert gdws("report", stored, stored, "--out", out).exit_code == 0
    assert "mean-rank-4" in out.read_text()


def test_report_prints_markdown_without_out(stored: Path) -> None:
    assert gdws("report", stored).stdout.startswith("# GDWS report: mnist-preact-resnet")


def test_a_bad_result_is_exit_2_with_field_and_hint(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    document = json.loads(result([DENSE]).model_dump_json())
    document["job"]["cells"][0]["fps"] = "fast"
    path.write_text(json.dumps(document))
    assert_failed(gdws("report", path), 2, "field: job.cells[0].fps", "hint:")


def test_a_full_disk_is_told_with_a_hint(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "report.html")

    monkeypatch.setattr(os, "fsync", full)
    assert_failed(
        gdws("report", stored, "--out", tmp_path / "report.html"), 2, "No space left", "hint:  free some space"
    )
    assert not (tmp_path / "report.html").exists()


# inspect


def test_inspect_tells_what_is_in_a_bundle(bundle: Path) -> None:
    found = gdws("inspect", bundle)
    assert found.exit_code == 0
    assert "mean-rank-4" in found.stdout
    assert json.loads(gdws("inspect", bundle, "--json").stdout)["manifest"]["name"] == "mnist-preact-resnet"


def test_inspect_checks_every_byte(bundle: Path) -> None:
    content = bytearray(bundle.read_bytes())
    position = content.rindex(b"dense/outputs.0.npy", 0, content.index(b"PK\x01\x02"))
    content[position + 3] ^= 1
    bundle.write_bytes(content)
    assert_failed(gdws("inspect", bundle), 2)


def test_inspect_of_a_plan_that_is_not_there(bundle: Path) -> None:
    assert_failed(gdws("inspect", bundle, "--plan", "mean-rank-9"), 2, "hint:  it has: dense, mean-rank-4")
    assert_failed(gdws("inspect", bundle, "--plan", "dense"), 2, "has no plan")


# plan, convert, evaluate, nets, train


def test_plan_prints_and_stores(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    found = gdws("plan", checkpoint, "--mean-rank", 2, "--layout", "stacked", "--out", out)
    assert found.exit_code == 0, found.output
    assert "layer3.0.conv1" in found.stdout
    assert json.loads(gdws("plan", checkpoint, "--mean-rank", 2, "--layout", "stacked", "--json").stdout) == json.loads(
        out.read_text()
    )


@pytest.mark.parametrize("options", [[], ["--mean-rank", 1, "--beta", 0.1], ["--mean-rank", 1, "--mean-rank", 2]])
def test_plan_wants_one_constraint(checkpoint: Path, options: list[object]) -> None:
    assert_failed(gdws("plan", checkpoint, *options), 2, "hint:  give one bound")


def test_convert_packs_what_is_asked_for(checkpoint: Path, tmp_path: Path) -> None:
    plan, out = tmp_path / "mine.json", tmp_path / "new" / "model.gdws"
    gdws("plan", checkpoint, "--gamma", 4, "--out", plan)
    found = gdws(
        "convert", checkpoint, "--mean-rank", 2, "--layout", "gather", "--layout", "stacked", "--plan", plan,
        "--alphas", 2, "--images", 4, "--verification", 3, "--iterations", 1, "--out", out, "--json", "-q",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    printed = json.loads(found.stdout)
    assert printed["variants"] == ["dense", "mean-rank-2", "mean-rank-2-stacked", "mine"]
    manifest = json.loads(gdws("inspect", out, "--json").stdout)
    assert manifest["id"] == printed["id"]
    assert manifest["manifest"]["provenance"]["checkpoint"] == "tiny.safetensors"
    assert [
        variant["evaluation"]["metrics"]["robust_accuracy"]["count"] for variant in manifest["manifest"]["variants"]
    ] == [4] * 4
    assert "total" in gdws("inspect", out, "--plan", "mine").stdout


def test_a_network_without_an_eligible_layer_is_an_answer(checkpoint: Path, tmp_path: Path) -> None:
    found = gdws(
        "convert", checkpoint, "--mean-rank", 1, "--skip", "layer*", "--alphas", 0, "--images", 0,
        "--verification", 1, "--attack", "none", "--out", tmp_path / "m.gdws", "-q",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "mean-rank-1 has no layer that GDWS can replace" in found.stderr


def test_convert_by_both_methods(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.gdws"
    ended = gdws(
        "convert", checkpoint, "--mean-rank", 1, "--method", "weights", "--method", "data-aware", "--alphas", 0,
        "--calibration", 12, "--iterations", 1, "--images", 0, "--verification", 4, "--out", out, "--json", "-q",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["variants"] == ["dense", "mean-rank-1", "data-rank-1"]
    with open_bundle(out) as bundle:
        made = bundle.manifest.variant("data-rank-1")
        assert made.method == "data-aware, mean_rank=1, fitted to 12 images, gather"
        plan = Plan.from_json(bundle.read(made.plan))
    assert plan.calibration.images == 12


def test_convert_wants_something_to_do(checkpoint: Path, tmp_path: Path) -> None:
    assert_failed(gdws("convert", checkpoint, "--out", tmp_path / "m.gdws", "-q"), 2, "no GDWS network was requested")


def test_convert_refuses_two_of_one_name(checkpoint: Path, tmp_path: Path) -> None:
    options = ["--beta", 0.5, "--beta", 0.5, "--alphas", 0, "--images", 0]
    assert_failed(gdws("convert", checkpoint, *options, "--out", tmp_path / "m.gdws", "-q"), 2, "'beta-0.5'")


def test_evaluate_of_a_plan(checkpoint: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    gdws("plan", checkpoint, "--mean-rank", 1, "--out", plan)
    found = gdws("evaluate", checkpoint, "--plan", plan, "--images", 5, "--iterations", 1, "-q")
    assert found.exit_code == 0, found.output
    assert "plan on 5 images" in found.stdout
    assert "PGD-1" in found.stdout
    shown = json.loads(gdws("evaluate", checkpoint, "--attack", "none", "--images", 5, "--json", "-q").stdout)
    assert (shown["variant"], shown["robust"], shown["natural"]["count"]) == ("dense", None, 5)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"not a checkpoint", "is not a checkpoint"), (b"", "is not a checkpoint")],
)
def test_what_is_no_checkpoint_is_exit_2(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    assert_failed(gdws("evaluate", path, "-q"), 2, words)


def test_a_checkpoint_of_another_network_names_the_keys(checkpoint: Path) -> None:
    assert_failed(gdws("evaluate", checkpoint, "--net", "preact-resnet18", "-q"), 2, "missing", "hint:")


def test_a_damaged_plan_names_the_field(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"format": "gdws.plan", "version": 1, "layers": [{}]}')
    assert_failed(gdws("evaluate", checkpoint, "--plan", path, "-q"), 2, "layers[0].")


@pytest.mark.parametrize(("option", "value"), [("--eps", 2), ("--step", 0), ("--iterations", 0), ("--attack", "fgsm")])
def test_an_attack_that_cannot_be_is_exit_2(checkpoint: Path, option: str, value: object) -> None:
    assert_failed(gdws("evaluate", checkpoint, option, value, "-q"), 2)


def test_nets_lists_the_registry() -> None:
    assert {entry["name"] for entry in json.loads(gdws("nets", "--json").stdout)} == set(nets.names())
    assert "mnist-preact-resnet" in gdws("nets").stdout


def test_train_refuses_a_malformed_option(tmp_path: Path) -> None:
    assert_failed(gdws("train", "--net-option", "width", "--out", tmp_path / "n.safetensors", "-q"), 2, "NAME=VALUE")
