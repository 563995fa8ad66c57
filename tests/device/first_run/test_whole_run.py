"""Every check in its order: on this machine as it is, and on the stand-ins for a Jetson's TensorRT and programs."""

import json
import sys
from pathlib import Path

import pytest

from gdws_agent.first_run.catalogue import CHECKS
from gdws_agent.first_run.command import run
from gdws_agent.first_run.report import Report
from support.agents import available, missing
from support.fake_trtexec import install_trtexec
from support.first_run import real_bench

pytest.importorskip("onnxruntime", reason="something must measure: ONNX Runtime, also behind the double of TensorRT")

WORKER = [sys.executable, str(Path(__file__).parents[2] / "support" / "tensorrt_worker.py")]
FACTS = {"gpu": "Double", "multiprocessors": 8, "tensorrt": "8.5.2.2", "dla_cores": 2, "problems": []}


def results(bench, tmp_path):
    code = run(bench, CHECKS, tmp_path / "out")
    report = Report.model_validate_json((tmp_path / "out/first-run.json").read_text())
    assert [each.name for each in report.checks] == [each.name for each in CHECKS]
    assert all(each.advice for each in report.checks if each.status == "failed")
    return code, {each.name: each for each in report.checks}


@pytest.fixture(autouse=True)
def _data_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("GDWS_AGENT_DATA_DIR", str(tmp_path / "data"))


def test_a_machine_that_is_no_jetson_measures_what_it_can(tmp_path):
    bench = real_bench(tmp_path, backends=[missing("tensorrt"), available("onnxruntime")])
    code, found = results(bench, tmp_path)
    assert code == 0
    assert {name: each.status for name, each in found.items()} == {
        "stack": "ok",
        "doctor": "ok",
        "token": "skipped",
        "device": "ok",
        "profile": "ok",
        "trtexec": "skipped",
        "rails": "skipped",
        "clocks": "skipped",
        "throttling": "skipped",
        "layouts": "ok",
    }
    assert [row[0] for row in found["layouts"].tables[0].rows] == ["dense", "gather", "stacked", "grouped"]


def test_with_tensorrt_the_precision_is_read_back_and_times_are_held_against_trtexec(tmp_path):
    bench = real_bench(
        tmp_path,
        worker_command=WORKER,
        cuda_command=[sys.executable, "-S", "-c", f"print({json.dumps(FACTS)!r})"],
        trtexec=install_trtexec(tmp_path, compute_ms={}),
        limit_s=120,
    )
    code, found = results(bench, tmp_path)
    assert found["profile"].status == "ok", found["profile"]
    precisions = {each.name: each.value for each in found["profile"].figures}
    assert precisions["gather: precision in force"] == "fp16"
    assert "layers_fp16=" in precisions["gather: options of the engine"]
    assert found["layouts"].status == "ok", found["layouts"]
    assert [table.title for table in found["layouts"].tables][:2] == ["fp16", "int8"]
    # A double does not take the time of a GPU: what is held against trtexec's millisecond is a processor's.
    assert len(found["trtexec"].tables[0].rows) == 8
    assert found["trtexec"].status == ("failed" if code else "ok")
