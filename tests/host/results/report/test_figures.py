"""The facts of a report against the result that they come from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.results.report.figures import facts
from gdws_contract.findings.accuracy import accuracy_change
from gdws_contract.findings.setting import Setting
from gdws_contract.manifest import HostEvaluation
from support.benchmark_results import (
    ATTACK,
    CUT,
    DENSE,
    KEPT,
    SLOW,
    cell,
    failed_cell,
    jetson_result,
    layer,
    manifest,
    parity_failed_cell,
    profiled_cell,
    proportion,
    result,
)


def test_settings_are_in_order_and_every_cell_is_placed() -> None:
    found = facts(result([DENSE, KEPT, CUT], batch_sizes=(8, 1)))
    assert found.settings == (Setting("onnxruntime", "fp32", 1), Setting("onnxruntime", "fp32", 8))
    for setting in found.settings:
        assert [m.variant for m in found.at(setting)] == ["dense", "mean-rank-4", "mean-rank-1"]
    assert len(found.measurements) == 6


def test_sizes_are_compared_with_the_dense_network() -> None:
    found = facts(result([DENSE, KEPT]))
    dense, kept = found.variants
    assert (dense.macs_ratio, dense.parameters_ratio, dense.robust_change) == (None, None, None)
    assert kept.macs_ratio == pytest.approx(20 / 12)
    assert kept.parameters_ratio == pytest.approx(694_634 / 380_000)
    assert kept.onnx_bytes == 2_781_234


def test_unknown_macs_give_no_ratio() -> None:
    document = manifest([DENSE, KEPT]).model_dump()
    document["variants"][1]["macs"] = None
    changed = result([DENSE, KEPT]).model_copy(update={"manifest": type(manifest([DENSE])).model_validate(document)})
    assert facts(changed).variants[1].macs_ratio is None


def test_the_range_of_fps_covers_the_rounds() -> None:
    (measurement,) = facts(result([DENSE], batch_sizes=(4,))).measurements
    median = measurement.latency.median_ms
    assert measurement.fps_low == pytest.approx(4000 / (median * 1.02))
    assert measurement.fps_high == pytest.approx(4000 / (median * 0.98))


def test_cells_without_times_say_why() -> None:
    cells = [cell(DENSE, DENSE, 1), parity_failed_cell(KEPT, 1), failed_cell(CUT, 1, "out of memory at batch 1")]
    found = facts(result([DENSE, KEPT, CUT, SLOW], cells=cells, state="cancelled", partial=True))
    reasons = {m.variant: m.reason for m in found.measurements}
    assert reasons["dense"] is None
    assert "0.31" in (reasons["mean-rank-4"] or "")
    assert reasons["mean-rank-1"] == "out of memory at batch 1"
    assert reasons["mean-rank-7"] == "the run was stopped first"


@pytest.mark.parametrize(("state", "words"), [("done", "sent no result"), ("interrupted", "job was interrupted")])
def test_a_missing_cell_is_explained_by_the_job(state: str, words: str) -> None:
    found = facts(result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1)], state=state))
    assert words in (found.measurements[1].reason or "")


def test_accuracies_under_different_attacks_are_not_compared() -> None:
    bundle = manifest([DENSE, KEPT])
    weaker = ATTACK.model_copy(update={"iterations": 5})
    other = HostEvaluation(
        data="mnist-sample, test",
        origin="labelled",
        metrics={"natural_accuracy": proportion(984, 1000), "robust_accuracy": proportion(950, 1000)},
        attack=weaker,
    )
    variants = [bundle.variants[0], bundle.variants[1].model_copy(update={"evaluation": other})]
    changed = result([DENSE, KEPT]).model_copy(update={"manifest": bundle.model_copy(update={"variants": variants})})
    kept = facts(changed).variants[1]
    assert kept.robust_change is None
    assert kept.natural_change is not None


def test_accuracies_on_different_images_are_not_compared() -> None:
    found = facts(result([DENSE, replace(KEPT, count=500, natural=490, robust=460)]))
    assert found.variants[1].natural_change is None
    assert found.variants[1].robust_change is None


def test_only_what_all_cells_share_of_their_surroundings_is_kept() -> None:
    circumstances = facts(result([DENSE, KEPT])).circumstances
    assert circumstances.environment == {"threads": "2", "backend_version": "1.23.0"}
    assert circumstances.runtimes == ("onnxruntime 1.23.0",)
    assert circumstances.engine_options == ("force_spinning_stop=1",)


def test_converted_layers_are_counted() -> None:
    layers = (layer("conv1", converted=False, reason="the first convolution"), layer("conv2"), layer("conv3"))
    found = facts(result([DENSE, replace(KEPT, layers=layers)]))
    assert found.variants[1].converted_layers == 2


def test_a_job_that_ended_before_any_cell_has_no_settings_without_a_backend() -> None:
    found = facts(result([DENSE, KEPT], cells=[], state="failed"))
    assert found.settings == ()
    assert found.measurements == ()


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))))
@settings(deadline=None, max_examples=60)
def test_the_interval_of_a_change_holds_it_and_turns_round(counts: tuple[int, int, int]) -> None:
    before, after, total = counts
    change = accuracy_change(proportion(before, total), proportion(after, total))
    assert change.low <= change.points <= change.high
    back = accuracy_change(proportion(after, total), proportion(before, total))
    assert back.points == pytest.approx(-change.points)
    assert back.low == pytest.approx(-change.high)


def test_the_interval_of_a_change_is_newcombes() -> None:
    # Newcombe (1998), table II, method 10: 56/70 against 48/80 has the interval 0.0524 to 0.3339.
    change = accuracy_change(proportion(48, 80), proportion(56, 70))
    assert change.points == pytest.approx(20.0)
    assert change.low == pytest.approx(5.24, abs=0.01)
    assert change.high == pytest.approx(33.39, abs=0.01)


def test_each_power_mode_is_a_setting_with_its_own_baseline() -> None:
    found = facts(jetson_result([DENSE, KEPT], modes=("MAXN", 2)))
    assert [setting.words for setting in found.settings] == [
        ("batch 1", "tensorrt", "fp16", "MAXN"),
        ("batch 1", "tensorrt", "fp16", "power mode 2"),
    ]
    for setting in found.settings:
        assert [(m.variant, m.is_baseline) for m in found.at(setting)] == [("dense", True), ("mean-rank-4", False)]
        assert all(m.latency is not None for m in found.at(setting))
    assert [m.power_mode for m in found.measurements] == ["MAXN", "MAXN", "MODE_15W", "MODE_15W"]


def test_a_mode_that_was_asked_for_and_not_reached_is_a_setting_too() -> None:
    whole = jetson_result([DENSE, KEPT], modes=("MAXN", 2))
    job = whole.job.model_copy(update={"cells": whole.job.cells[:2]})
    found = facts(whole.model_copy(update={"job": job}))
    assert [(m.setting.power_mode, m.state) for m in found.measurements] == [
        ("MAXN", "done"),
        ("MAXN", "done"),
        (2, "not_measured"),
        (2, "not_measured"),
    ]


def test_without_power_modes_none_is_named() -> None:
    (setting,) = facts(result([DENSE, KEPT])).settings
    assert (setting.mode, setting.words) == (None, ("batch 1", "onnxruntime", "fp32"))


def test_a_profile_is_no_failure() -> None:
    found = facts(result([DENSE], cells=[profiled_cell(DENSE)]))
    (measurement,) = found.measurements
    assert measurement.profile is not None
    assert measurement.reason == "its layers were timed instead of the whole network"


def test_the_power_sensor_is_named_or_the_reason_for_none() -> None:
    assert facts(result([DENSE])).circumstances.power == "no power sensor was found"
    assert facts(jetson_result([DENSE])).circumstances.power == "sensor ina3221"
