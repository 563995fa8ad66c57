"""The sentence at the top of a report: never kinder than the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gdws.results.report.figures import facts
from gdws.results.report.verdict import headline, verdicts
from gdws_contract.measures import Flag, Interval, SpeedUp
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


def judge(*nets: Net, **options: object):
    return verdicts(facts(result(list(nets), **options)))[0]


def test_a_gain_states_speed_price_and_both_intervals() -> None:
    verdict = judge(DENSE, KEPT, CUT, SLOW)
    assert (verdict.kind, verdict.variant) == ("gain", "mean-rank-4")
    for words in ("1.33×", "1.31–1.36", "93.5 % against 93.9 %", "PGD-40", "1,000 images", "−0.4 points", "batch 1"):
        assert words in verdict.sentence


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
    assert verdict.sentence.startswith("No GDWS network is both faster than the dense one and within 1 point")
    assert "the fastest, mean-rank-1, runs 2.50× as fast at −53.7 points" in verdict.sentence


def test_no_gain_if_nothing_is_shown_to_be_faster() -> None:
    verdict = judge(DENSE, SLOW)
    assert verdict.kind == "no-gain"
    assert "0.83×" in verdict.sentence


def test_an_interval_that_holds_one_is_no_gain() -> None:
    level = cell(Net("level", median_ms=1.98), DENSE, 1)
    level = level.model_copy(
        update={
            "speedup": SpeedUp(
                ratio=1.01, interval=Interval(low=0.99, high=1.03, method="t"), rounds=10, baseline="dense"
            )
        }
    )
    verdict = judge(DENSE, Net("level", median_ms=1.98), cells=[cell(DENSE, DENSE, 1), level])
    assert verdict.kind == "no-gain"


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
    assert "dense network was not timed" in verdict.sentence


def test_parity_failures_are_counted_where_nothing_else_is_left() -> None:
    verdict = judge(DENSE, KEPT, CUT, cells=[cell(DENSE, DENSE, 1), *(parity_failed_cell(n, 1) for n in (KEPT, CUT))])
    assert verdict.sentence == "No GDWS network was timed at batch 1: 2 of 2 failed parity."


def test_each_setting_is_judged_and_the_smallest_batch_leads() -> None:
    found = facts(result([DENSE, KEPT], batch_sizes=(1, 8)))
    assert [v.setting.batch_size for v in verdicts(found)] == [1, 8]
    assert headline(found) == verdicts(found)[0].sentence


def test_a_simulated_device_is_said_first() -> None:
    assert headline(facts(result([DENSE, KEPT], simulated=True))).startswith("On a simulated device")


def test_nothing_measured() -> None:
    assert "Nothing was measured" in headline(facts(result([DENSE, KEPT], cells=[], state="failed")))


def test_each_power_mode_is_judged_and_named_where_there_are_several() -> None:
    first, second = verdicts(facts(jetson_result([DENSE, KEPT], modes=("MAXN", 2))))
    assert "at batch 1 in MAXN (" in first.sentence
    assert "at batch 1 in power mode 2 (" in second.sentence
    (only,) = verdicts(facts(jetson_result([DENSE, KEPT])))
    assert "at batch 1 (" in only.sentence


def test_a_profile_has_no_verdict_on_speed() -> None:
    said = headline(facts(result([DENSE, KEPT], cells=[profiled_cell(DENSE), profiled_cell(KEPT)])))
    assert said.startswith("Layers were timed one by one")


@pytest.mark.parametrize(("own", "dense"), [(True, False), (False, True), (True, True)])
def test_an_attack_that_is_not_to_be_trusted_decides_nothing(own: bool, dense: bool) -> None:
    failed, sound = attack_check(query_fooled=30), attack_check()
    verdict = judge(replace(DENSE, check=failed if dense else sound), replace(KEPT, check=failed if own else sound))
    assert (verdict.kind, verdict.variant) == ("unknown", "mean-rank-4")
    names = [name for name, fails in (("mean-rank-4", own), ("dense", dense)) if fails]
    assert f"the attack on {' and '.join(names)} is not to be trusted" in verdict.sentence


def test_an_attack_that_was_checked_and_found_sound_changes_nothing() -> None:
    checked = judge(*(replace(net, check=attack_check(second_fooled=300, vanishing=940)) for net in (DENSE, KEPT)))
    assert checked == judge(DENSE, KEPT)
