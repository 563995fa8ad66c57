import json
import sys

import pytest

from gdws_agent.first_run.checks.stack import check_stack
from gdws_agent.first_run.report import CheckFailed
from support.first_run import canned_bench, figures_of

FACTS = {
    "gpu": "Xavier",
    "compute_capability": "7.2",
    "multiprocessors": 8,
    "gpu_clock_mhz": 1377.0,
    "gpu_memory_mib": 31_919,
    "scheduling_by_default": "auto",
    "tensorrt": "8.5.2.2",
    "dla_cores": 2,
    "problems": [],
}


def bench(tmp_path, facts, *, l4t="# R35 (release), REVISION: 4.1, GCID: 1", said="warning of some SDK\n"):
    """A Jetson whose GPU tells ``facts``, among other things that are printed."""
    if l4t is not None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/nv_tegra_release").write_text(l4t)
    text = said + (facts if isinstance(facts, str) else json.dumps(facts))
    return canned_bench(tmp_path, cuda_command=[sys.executable, "-S", "-c", f"print({text!r})"])


def test_a_jetson_with_everything_is_told_in_one_line(tmp_path):
    made = bench(tmp_path, FACTS)
    outcome = check_stack(made)
    assert outcome.status == "ok"
    for word in ("35.4.1", "Xavier", "8 multiprocessors", "8.5.2.2"):
        assert word in outcome.summary
    found = {figure.name: (figure.value, figure.unit) for figure in outcome.figures}
    assert found["gpu clock"] == (1377.0, "MHz")
    assert found["gpu memory"] == (31_919, "MiB")
    assert found["scheduling by default"] == ("auto", None)
    assert found["dla cores"] == (2, None)
    assert ["tensorrt", "8.5.2.2"] in outcome.tables[0].rows
    assert "8.5.2.2" in made.versions


def test_a_jetson_without_its_gpu_fails_with_the_reason_and_what_is_known(tmp_path):
    with pytest.raises(CheckFailed, match="cuInit answers 100") as caught:
        check_stack(bench(tmp_path, {"problems": ["driver: cuInit answers 100"]}))
    assert figures_of(caught.value.outcome)["l4t"] == "35.4.1"
    assert "runtime: nvidia" in caught.value.outcome.advice[0]


def test_a_process_that_dies_while_it_asks_cuda_costs_this_check_alone(tmp_path):
    with pytest.raises(CheckFailed, match="exited with status 0"):
        check_stack(bench(tmp_path, "Segmentation fault"))


def test_a_jetson_whose_release_is_not_mounted_is_warned_of(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvmap").touch()
    outcome = check_stack(bench(tmp_path, FACTS, l4t=None))
    assert outcome.status == "warning"
    assert "nv_tegra_release" in outcome.advice[0]


def test_another_machine_is_no_failure(tmp_path):
    outcome = check_stack(bench(tmp_path, {"problems": ["driver: no libcuda"]}, l4t=None))
    assert outcome.status == "ok"
    assert "not a Jetson" in outcome.summary
