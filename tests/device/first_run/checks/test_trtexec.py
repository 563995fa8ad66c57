import pytest

from gdws_agent.first_run.checks.trtexec import check_trtexec
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from support.agents import available
from support.fake_trtexec import install_trtexec
from support.first_run import canned_bench, figures_of, measured

#: What trtexec takes: what each layer is told to NVTX costs the form with more layers more.
TIMES = {("dense", "none"): 2.0, ("dense", "detailed"): 2.1, ("gather", "none"): 1.0, ("gather", "detailed"): 1.2}


def bench(tmp_path, dense_ms, gather_ms, **options):
    cells = {"dense": measured("dense", compute_ms=dense_ms), "gather": measured("gather", compute_ms=gather_ms)}
    program = install_trtexec(tmp_path, compute_ms=TIMES, **options)
    return canned_bench(tmp_path, cells=cells, trtexec=program)


def failure(made):
    with pytest.raises(CheckFailed) as caught:
        check_trtexec(made)
    return caught.value.outcome


def test_times_within_three_percent_agree_in_each_run(tmp_path):
    outcome = check_trtexec(bench(tmp_path, 2.05, 0.98))
    assert outcome.status == "ok"
    assert "2.5%" in outcome.summary
    table = outcome.tables[0]
    assert len(table.rows) == 2 * 2 * 2
    assert {tuple(row[:2]) for row in table.rows} == set(TIMES)
    assert [row[3] for row in table.rows if row[:2] == ["gather", "detailed"]] == [1.2, 1.2]
    assert figures_of(outcome)["trtexec of TensorRT"] == "8.5.2"
    assert sum("--saveEngine" in line for line in outcome.log) == 2


@pytest.mark.parametrize(("dense_ms", "gather_ms", "form"), [(2.08, 1.0, "dense"), (2.0, 0.95, "gather")])
def test_a_time_beyond_is_a_failure_of_that_form(tmp_path, dense_ms, gather_ms, form):
    outcome = failure(bench(tmp_path, dense_ms, gather_ms))
    assert outcome.summary.startswith(f"{form}: ")
    assert any(f"{form} alone differs" in advice for advice in outcome.advice)
    assert any("clocks were not fixed" in advice for advice in outcome.advice)
    assert len(outcome.tables[0].rows) == 8


def test_an_agent_that_pays_for_detailed_verbosity_is_told_so(tmp_path):
    outcome = failure(bench(tmp_path, 2.1, 1.2))
    assert "+20.0%" in outcome.summary
    assert any("NVTX" in advice for advice in outcome.advice)


def test_a_difference_that_depends_on_how_the_host_waits_is_told_so(tmp_path):
    outcome = failure(bench(tmp_path, 2.2, 1.2, spin_ms=0.2))
    assert any("how the host waits" in advice for advice in outcome.advice)


def test_without_tensorrt_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(CheckSkipped, match="onnxruntime"):
        check_trtexec(canned_bench(tmp_path, backends=[available("onnxruntime")]))


def test_without_the_program_it_says_where_that_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckSkipped, match="not here") as caught:
        check_trtexec(canned_bench(tmp_path))
    assert "/usr/src/tensorrt/bin/trtexec" in caught.value.outcome.advice[0]


def test_an_agent_without_times_on_the_device_is_a_failure(tmp_path):
    made = bench(tmp_path, 2.0, 1.0)
    made.cells["gather"] = made.cells["gather"].model_copy(update={"device_latency": None})
    assert "no times on the device for gather" in failure(made).summary
