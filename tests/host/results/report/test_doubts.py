"""Reservations that the reader must see."""

from __future__ import annotations

from dataclasses import replace

from gdws.results.report.doubts import doubts
from gdws.results.report.figures import facts
from gdws_contract.measures import Flag
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    attack_check,
    cell,
    failed_cell,
    parity,
    parity_failed_cell,
    profiled_cell,
    proportion,
    result,
)


def test_a_clean_result_has_none() -> None:
    assert doubts(facts(result([DENSE, KEPT], batch_sizes=(1, 8)))) == ()


def test_simulation_comes_first() -> None:
    found = doubts(facts(result([DENSE, KEPT], simulated=True, partial=True)))
    assert found[0].startswith("The device is simulated")


def test_a_stopped_run_says_how_far_it_came() -> None:
    found = doubts(facts(result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1)], state="cancelled", partial=True)))
    assert found == ("The run was stopped early: 1 of 2 cells were timed.",)


def test_failures_name_network_place_and_reason() -> None:
    cells = [
        *(cell(DENSE, DENSE, batch) for batch in (1, 8)),
        *(parity_failed_cell(KEPT, batch) for batch in (1, 8)),
        cell(CUT, DENSE, 1),
        failed_cell(CUT, 8, "out of memory."),
    ]
    found = doubts(facts(result([DENSE, KEPT, CUT], batch_sizes=(1, 8), cells=cells)))
    assert found == (
        "mean-rank-4 failed parity and was not timed at batch 1 and at batch 8: "
        "logits differ by 0.31 of the largest, more than 0.001.",
        "mean-rank-1 has no times at batch 8: out of memory.",
    )


def test_flags_are_counted() -> None:
    cells = [cell(DENSE, DENSE, 1), cell(KEPT, DENSE, 1, flags=(Flag(code="unstable", detail="cv 12 %"),))]
    assert doubts(facts(result([DENSE, KEPT], cells=cells))) == ("1 cell of the 2 timed carry a flag: unstable.",)


def test_medians_and_rates_that_disagree_are_said() -> None:
    slow_outliers = cell(KEPT, DENSE, 1).model_copy(update={"fps": 300.0})
    (doubt,) = doubts(facts(result([DENSE, KEPT], cells=[cell(DENSE, DENSE, 1), slow_outliers])))
    assert doubt.startswith("mean-rank-4 at batch 1 has a speed-up of 1.33× by its medians, but 0.61× by images")


def test_accuracy_that_differs_on_the_device_is_said() -> None:
    changed = parity().model_copy(update={"robust": proportion(101, 128)})
    cells = [cell(DENSE, DENSE, 1), cell(KEPT, DENSE, 1).model_copy(update={"parity": changed})]
    (doubt,) = doubts(facts(result([DENSE, KEPT], cells=cells)))
    assert "101 of 128 adversarial inputs correctly on the device, and 119 of 128 on the host" in doubt


def test_profiled_networks_are_not_missing() -> None:
    assert doubts(facts(result([DENSE, KEPT], cells=[profiled_cell(DENSE), profiled_cell(KEPT)]))) == ()


def test_what_an_attack_did_not_find_is_said_of_each_network() -> None:
    blind = replace(KEPT, check=attack_check(vanishing=900, blind=900, query_fooled=20))
    found = doubts(facts(result([replace(DENSE, check=attack_check()), blind])))
    assert len(found) == 4
    assert all(doubt.startswith("mean-rank-4: ") for doubt in found)
    assert "uses no gradient, fools 20 of 62 images" in found[0]
    assert "cannot be trusted" in found[2]


def test_a_dense_network_near_chance_is_said_to_be() -> None:
    found = doubts(facts(result([replace(DENSE, natural=104, robust=90), KEPT])))
    assert len(found) == 1
    assert found[0].startswith("dense: The natural accuracy is near chance: probably the pixels")
    assert doubts(facts(result([DENSE, replace(KEPT, natural=104)]))) == ()
