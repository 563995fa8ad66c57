import pytest

from gdws_agent.first_run.checks.profile import check_profile
from gdws_agent.first_run.report import CheckFailed
from support.agents import available
from support.first_run import canned_bench, figures_of, profiled

LAYERS = {"a/Conv": 3.0, "Reformatting CopyNode for Input Tensor 0 to a/Gather": 1.0, "a/Gather": 4.0}


def cells(**gather):
    return {"dense": profiled("dense", {"a/Conv": 1.0}), "gather": profiled("gather", LAYERS, **gather)}


def test_layers_their_times_and_the_precision_in_force_are_shown(tmp_path):
    bench = canned_bench(tmp_path, cells=cells())
    outcome = check_profile(bench)
    assert (outcome.status, bench.asked[0]["precision"]) == ("ok", "fp16")
    found = figures_of(outcome)
    assert found["gather: sum of all layers"] == 8.0
    assert found["gather: share of changes of format"] == pytest.approx(12.5)
    assert found["gather: share of gathers"] == pytest.approx(62.5)
    assert found["gather: precision in force"] == "fp16"
    assert [row[0] for row in outcome.tables[1].rows][:2] == ["a/Gather", "a/Conv"]


def test_a_build_that_stayed_fp32_is_a_failure(tmp_path):
    with pytest.raises(CheckFailed, match="asked for in fp16 and is fp32") as caught:
        check_profile(canned_bench(tmp_path, cells=cells(in_force="fp32")))
    assert caught.value.outcome.tables


def test_a_precision_that_was_not_read_back_is_a_failure(tmp_path):
    with pytest.raises(CheckFailed, match="does not tell the precision of its layers"):
        check_profile(canned_bench(tmp_path, cells=cells(options=["flags=FP16"])))


def test_a_profile_without_layers_is_a_failure(tmp_path):
    empty = cells()["gather"]
    empty = empty.model_copy(update={"profile": empty.profile.model_copy(update={"layers": []})})
    with pytest.raises(CheckFailed, match="no layers"):
        check_profile(canned_bench(tmp_path, cells={**cells(), "gather": empty}))


def test_a_backend_without_fp16_is_profiled_in_fp32(tmp_path):
    made = {name: profiled(name, LAYERS, precision="fp32", options=[]) for name in ("dense", "gather")}
    bench = canned_bench(tmp_path, cells=made, backends=[available("onnxruntime")])
    outcome = check_profile(bench)
    assert (outcome.status, bench.asked[0]["precision"]) == ("ok", "fp32")
    assert "has no fp16" in outcome.summary
