"""The verdict on a result: never kinder than the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gdws_contract.findings import text
from gdws_contract.findings.result import Findings, findings_of
from gdws_contract.findings.verdict import Verdict
from gdws_contract.measures import Figure, Flag, Interval, SpeedUp
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    SLOW,
    Net,
    attack_check,
    cell,
    jetson_result,
    parity_failed_cell,
    profiled_cell,
    result,
)


def found(made: BenchmarkResult) -> Findings:
    return findings_of(made.job, made.manifest, is_simulated=made.device.simulated, partial=made.partial)


def judge(*nets: Net, **options: object) -> Verdict:
    return found(result(list(nets), **options)).verdicts[0]


def level(*codes: str) -> Verdict:
    """The verdict on a network whose speed-up's interval holds 1, with flags of those codes."""
    flags = tuple(Flag(code=code, detail="x") for code in codes)
    same = cell(Net("level", median_ms=1.98), DENSE, 1, flags=flags)
    interval = Interval(low=0.99, high=1.03, method="t")
    speedup = SpeedUp(ratio=1.01, interval=interval, rounds=10, baseline="dense")
    same = same.model_copy(update={"speedup": speedup})
    return judge(DENSE, Net("level", median_ms=1.98), cells=[cell(DENSE, DENSE, 1), same])


def test_a_gain_states_speed_price_and_both_intervals() -> None:
    verdict = judge(DENSE, KEPT, CUT, SLOW)
    assert (verdict.kind, verdict.variant) == ("gain", "mean-rank-4")
    assert (verdict.speed, verdict.accuracy, verdict.title) == ("faster", "kept", "Faster, accuracy kept")
    for words in ("1.33×", "1.31–1.36", "93.5 % against 93.9 %", "PGD-40", "1,000 images", "−0.4 points", "batch 1"):
        assert words in verdict.sentence


@pytest.mark.parametrize(
    ("int8_ms", "variant", "words"),
    [
        (
            1.8,
            "mean-rank-4",
            "It is faster than dense-int8, the fastest dense form that keeps its accuracy, too: 1.20",
        ),
        (1.5, "mean-rank-4", "It is not shown to be faster than dense-int8"),
        (1.2, "dense-int8", None),
    ],
)
def test_a_gain_is_told_against_the_fastest_dense_form_too(int8_ms: float, variant: str, words: str | None) -> None:
    int8 = Net("dense-int8", median_ms=int8_ms, natural=984, robust=935, in_int8=True)
    slower = Net("dense-int8-symmetric", median_ms=1.9, natural=984, robust=935, in_int8=True)
    verdict = judge(DENSE, KEPT, int8, slower)
    assert (verdict.kind, verdict.variant) == ("gain", variant)
    assert words in verdict.sentence if words else "dense form" not in verdict.sentence


def test_without_rounds_a_dense_form_is_beside_it_all_the_same() -> None:
    int8 = Net("dense-int8", median_ms=1.8, natural=984, robust=935, in_int8=True)
    nets = [DENSE, KEPT, int8]
    cells = [cell(net, DENSE, 1).model_copy(update={"rounds": []}) for net in nets]
    assert "1.20× as fast as dense-int8" in judge(*nets, cells=cells).sentence


def test_flags_of_the_times_that_it_rests_on_are_said() -> None:
    flagged = cell(
        KEPT, DENSE, 1, flags=(Flag(code="other-load", detail="x"), Flag(code="unstable-rounds", detail="y"))
    )
    verdict = judge(DENSE, KEPT, cells=[cell(DENSE, DENSE, 1), flagged])
    assert verdict.sentence.endswith("These times are flagged: other-load and unstable-rounds.")


def test_a_trade_names_the_gentlest_and_the_fastest() -> None:
    middle = Net("mean-rank-3", median_ms=1.6, robust=900)
    verdict = judge(DENSE, CUT, middle, SLOW)
    assert (verdict.kind, verdict.variant) == ("trade", "mean-rank-3")
    assert verdict.sentence.startswith("No network is both faster than the baseline and within 1 point")
    assert "the fastest, mean-rank-1, runs 2.50× as fast at −53.7 points" in verdict.sentence


def test_no_gain_if_nothing_is_shown_to_be_faster() -> None:
    verdict = judge(DENSE, SLOW)
    assert verdict.kind == "no-gain"
    assert "0.83×" in verdict.sentence


def test_an_interval_that_holds_one_is_no_gain() -> None:
    assert (level().kind, level().speed) == ("no-gain", "not distinguishable")


@pytest.mark.parametrize("code", ["not-steady", "unstable-rounds", "throttled"])
def test_an_interval_that_holds_one_shows_nothing_where_times_were_disturbed(code: str) -> None:
    verdict = level(code)
    assert (verdict.kind, verdict.speed) == ("unknown", "unstable")
    assert "is not shown" in verdict.sentence
    assert verdict.sentence.endswith(f"These times are flagged: {code}.")


def test_a_drift_cancels_in_a_ratio() -> None:
    assert level("drift").kind == "no-gain"


def test_a_speedup_without_an_interval_is_no_gain() -> None:
    bare = cell(KEPT, DENSE, 1)
    assert bare.speedup is not None
    bare = bare.model_copy(update={"speedup": bare.speedup.model_copy(update={"interval": None})})
    assert judge(DENSE, KEPT, cells=[cell(DENSE, DENSE, 1), bare]).kind == "no-gain"


@pytest.mark.parametrize(("robust", "kind"), [(929, "gain"), (928, "trade")])
def test_one_point_is_within_and_more_is_not(robust: int, kind: str) -> None:
    assert judge(DENSE, replace(KEPT, robust=robust)).kind == kind


def test_images_that_do_not_rule_out_a_greater_fall_are_said_to_be_too_few() -> None:
    few = judge(DENSE, KEPT)
    assert few.kind == "gain"
    assert few.sentence.endswith("; 1,000 images do not rule out a greater fall.")
    many = [replace(net, natural=98_500, robust=93_900, count=100_000) for net in (DENSE, KEPT)]
    assert "rule out" not in judge(*many).sentence


def test_a_fall_in_natural_accuracy_alone_is_a_price() -> None:
    verdict = judge(DENSE, replace(KEPT, natural=960))
    assert verdict.kind == "trade"
    assert "natural accuracy 96.0 % against 98.5 %" in verdict.sentence


def test_natural_accuracy_alone_does_not_do_where_the_dense_network_was_attacked() -> None:
    verdict = judge(DENSE, replace(KEPT, robust=None))
    assert verdict.kind == "unknown"
    assert "what the speed costs is not known" in verdict.sentence


def test_natural_accuracy_does_where_nobody_was_attacked() -> None:
    verdict = judge(replace(DENSE, robust=None), replace(KEPT, robust=None))
    assert verdict.kind == "gain"
    assert "natural accuracy 98.4 % against 98.5 %" in verdict.sentence


def test_without_a_dense_time_there_is_no_verdict() -> None:
    verdict = judge(DENSE, KEPT, cells=[parity_failed_cell(DENSE, 1), cell(KEPT, DENSE, 1)])
    assert verdict.kind == "unknown"
    assert "baseline was not timed" in verdict.sentence


def test_parity_failures_are_counted_where_nothing_else_is_left() -> None:
    verdict = judge(DENSE, KEPT, CUT, cells=[cell(DENSE, DENSE, 1), *(parity_failed_cell(n, 1) for n in (KEPT, CUT))])
    assert verdict.sentence == "No network was timed with the baseline at batch 1: 2 of 2 failed parity."


def test_each_setting_is_judged_and_the_smallest_batch_leads() -> None:
    says = found(result([DENSE, KEPT], batch_sizes=(1, 8)))
    assert [v.setting.batch_size for v in says.verdicts] == [1, 8]
    assert says.headline == says.verdicts[0].sentence


def test_a_simulated_device_is_said_first() -> None:
    assert found(result([DENSE, KEPT], simulated=True)).headline.startswith("On a simulated device")


def test_nothing_measured() -> None:
    assert "Nothing was measured" in found(result([DENSE, KEPT], cells=[], state="failed")).headline


def test_each_power_mode_is_judged_and_named_where_there_are_several() -> None:
    first, second = found(jetson_result([DENSE, KEPT], modes=("MAXN", 2))).verdicts
    assert "at batch 1 in MAXN (" in first.sentence
    assert "at batch 1 in power mode 2 (" in second.sentence
    (only,) = found(jetson_result([DENSE, KEPT])).verdicts
    assert "at batch 1 (" in only.sentence


def test_a_profile_has_no_verdict_on_speed() -> None:
    says = found(result([DENSE, KEPT], cells=[profiled_cell(DENSE), profiled_cell(KEPT)]))
    assert says.headline.startswith("Only single layers were timed")
    assert says.verdicts == ()


def evaluated(made: BenchmarkResult, **changes: object) -> BenchmarkResult:
    """``made`` with the host's evaluations of all its networks changed."""
    variants = [
        variant.model_copy(update={"evaluation": variant.evaluation.model_copy(update=changes)})
        for variant in made.manifest.variants
        if variant.evaluation is not None
    ]
    return made.model_copy(update={"manifest": made.manifest.model_copy(update={"variants": variants})})


@pytest.mark.parametrize(("origin", "images"), [("network", "1,000 images,"), ("noise", "1,000 images of noise,")])
@pytest.mark.parametrize(("net", "kind"), [(KEPT, "faster"), (CUT, "faster"), (SLOW, "no-gain")])
def test_without_true_labels_there_is_agreement_and_no_verdict_on_accuracy(
    origin: str, images: str, net: Net, kind: str
) -> None:
    says = found(evaluated(result([DENSE, net]), origin=origin))
    (verdict,) = says.verdicts
    assert (verdict.kind, verdict.accuracy) == (kind, "agreement")
    assert f"gives the baseline's answer on {text.percent(net.natural / 1000)} of {images}" in verdict.sentence
    assert "its accuracy is not known" in verdict.sentence
    network = says.networks[1]
    assert (network.natural, network.robust, network.natural_change, network.robust_change) == (None,) * 4


def test_other_metrics_than_accuracy_are_told_and_not_judged() -> None:
    metrics = {"map_50": Figure(value=0.512, higher_is_better=True)}
    (verdict,) = found(evaluated(result([DENSE, KEPT]), metrics=metrics, attack=None)).verdicts
    assert (verdict.kind, verdict.accuracy, verdict.title) == ("faster", "not shown", "Faster, accuracy not judged")
    assert "on mnist-sample, test: mAP at IoU 0.5 0.512 against 0.512" in verdict.sentence


def test_without_the_bundle_the_speed_is_known_and_the_price_is_not() -> None:
    made = result([DENSE, KEPT])
    says = findings_of(made.job, None, is_simulated=False)
    (verdict,) = says.verdicts
    assert (verdict.kind, verdict.speed, verdict.accuracy) == ("unknown", "faster", "not shown")
    assert "is no longer stored" in verdict.sentence
    assert (says.baseline, says.networks, [each.speed for each in says.cells]) == ("dense", (), [None, "faster"])


def test_what_a_job_has_not_measured_yet_is_said_to_be_open() -> None:
    made = result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1)], state="running")
    assert found(made).cells[1].reason == "not measured yet"


@pytest.mark.parametrize(("own", "dense"), [(True, False), (False, True), (True, True)])
def test_an_attack_that_is_not_to_be_trusted_decides_nothing(own: bool, dense: bool) -> None:
    failed, sound = attack_check(query_fooled=30), attack_check()
    verdict = judge(replace(DENSE, check=failed if dense else sound), replace(KEPT, check=failed if own else sound))
    assert (verdict.kind, verdict.variant) == ("unknown", "mean-rank-4")
    names = [name for name, fails in (("mean-rank-4", own), ("dense", dense)) if fails]
    assert f"the attack on {' and '.join(names)} cannot be trusted" in verdict.sentence


def test_an_attack_that_was_checked_and_found_sound_changes_nothing() -> None:
    checked = judge(*(replace(net, check=attack_check(second_fooled=300, vanishing=940)) for net in (DENSE, KEPT)))
    assert checked == judge(DENSE, KEPT)
