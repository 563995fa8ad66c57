import pytest

from gdws_agent.first_run.bench import clocks_in_words
from gdws_agent.first_run.deadline import Deadline
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from gdws_contract.profiles import ProfileOptions
from support.agents import FakeWorker, available, missing
from support.first_run import real_bench

ONNX_RUNTIME = [missing("tensorrt"), available("onnxruntime")]


def scripted(tmp_path, action, **options):
    """A bench whose worker does ``action`` with the dense network."""
    worker = FakeWorker(tmp_path / "worker", {"dense": action})
    return worker, real_bench(tmp_path, worker_command=worker.command, backends=ONNX_RUNTIME, **options)


def test_a_worker_of_its_own_measures_the_network(tmp_path):
    pytest.importorskip("onnxruntime")
    bench = real_bench(tmp_path, backends=ONNX_RUNTIME)
    cells = bench.measure(["dense", "stacked"], bench.precision("fp16"))
    assert {name: cell.state for name, cell in cells.items()} == {"dense": "done", "stacked": "done"}
    assert cells["stacked"].key.precision == "fp32"
    assert cells["stacked"].speedup is not None
    profiled = bench.measure(["gather"], "fp32", profile=ProfileOptions(iterations=2))["gather"].profile
    assert {layer.source for layer in profiled.layers} >= {"stage1.conv1", "stage2.conv2"}


@pytest.mark.parametrize("present", [False, True])
def test_a_measurement_leaves_the_agents_folder_alone(tmp_path, present):
    worker, bench = scripted(tmp_path, "ok")
    data = bench.settings.data_dir
    if present:
        data.mkdir()
        data.chmod(0o500)
    bench.measure(["dense"], "fp32")
    assert len(worker.orders()) == 1
    assert (data.exists(), list(data.glob("*"))) == (present, [])


def test_a_worker_that_is_not_done_in_time_is_ended(tmp_path):
    worker, bench = scripted(tmp_path, "hang")

    class Reached(Deadline):
        """Passes soon after it is first looked at."""

        left_s = 0.5

    bench.deadline = Reached(77.0)
    with pytest.raises(CheckFailed, match="not done within the 77 s"):
        bench.measure(["dense"], "fp32")
    assert len(worker.orders()) == 1


def test_a_worker_that_dies_is_told_with_its_last_words(tmp_path):
    with pytest.raises(CheckFailed, match="the driver said no"):
        scripted(tmp_path, "exit")[1].measure(["dense"], "fp32")


def test_a_cell_without_a_result_gives_its_reason(tmp_path):
    with pytest.raises(CheckFailed, match="fp32, dense: Build failed: no"):
        scripted(tmp_path, "fail")[1].measure(["dense", "gather"], "fp32")


def test_an_order_is_of_the_best_backend_at_batch_size_one(tmp_path):
    worker, bench = scripted(tmp_path, "ok")
    bench.measure(["dense", "gather"], "fp32", power_sensor="ina3221")
    (order,) = worker.orders()
    assert (order["backend"], order["batch_size"], order["variants"]) == ("onnxruntime", 1, ["dense", "gather"])
    assert order["power_sensor"] == "ina3221"
    assert order["cache_dir"].startswith(str(tmp_path))


def test_without_a_backend_nothing_is_measured(tmp_path):
    bench = real_bench(tmp_path, backends=[missing("tensorrt")])
    with pytest.raises(CheckSkipped, match="no backend"):
        bench.measure(["dense"], "fp32")


def test_a_quick_run_measures_for_a_shorter_time(tmp_path):
    quick, full = real_bench(tmp_path).protocol(), real_bench(tmp_path, quick=False).protocol()
    assert quick.min_duration_ms < full.min_duration_ms
    assert real_bench(tmp_path).protocol(min_duration_ms=9.0).min_duration_ms == 9.0


def test_the_record_of_the_clocks_lies_where_the_agent_looks(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/clocks.json").write_text("{}")
    assert real_bench(tmp_path).clocks.is_taken()


def test_the_record_of_the_clocks_lies_with_the_results_where_there_is_no_agent(tmp_path):
    bench = real_bench(tmp_path)
    (tmp_path / "out/clocks.json").write_text("{}")
    assert bench.clocks.is_taken()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "not fixed: they cannot be set here"),
        ({"power_mode": "MAXN", "jetson_clocks": True}, "fixed in power mode MAXN"),
        ({"jetson_clocks": False}, "not fixed"),
    ],
)
def test_clocks_in_words(state, words):
    from gdws_agent.board.clocks import ClockState

    assert clocks_in_words(ClockState(**state)) == words
