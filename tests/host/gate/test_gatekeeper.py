"""A gate without a device: limits and runs in, verdicts out."""

from __future__ import annotations

import math

import pytest

from gdws.gate.facts import Flips, NetworkFacts
from gdws.gate.figures import Run
from gdws.gate.gatekeeper import Gatekeeper, Reference
from gdws.gate.limits import Limits, Sequencing
from gdws.gate.sequential import Spread
from gdws.gate.verdicts import Verdict, overall
from gdws_contract.measures import Proportion
from gdws_contract.rest import Cell
from support.benchmark_results import DENSE, failed_cell, parity_failed_cell, proportion
from support.gate_runs import DENSE_SUBJECT, SETTING, run, timed_cell

QUIET = Spread(0.004, 10)
FACTS = {"dense": NetworkFacts(size_bytes=2 * 2**20, baseline_size_bytes=2**20)}


def judged(
    limits: Limits,
    make: list[Run],
    *,
    facts: dict[str, NetworkFacts] | None = None,
    reference: Reference | None = None,
    spread: Spread | None = QUIET,
) -> tuple[Gatekeeper, dict[str, Verdict]]:
    """Feed the runs, the last again and again, for as long as the gate wants any."""
    keeper = Gatekeeper(limits, Sequencing(), facts or FACTS, reference)
    while keeper.wants_run:
        keeper.add(make[min(len(keeper.runs), len(make) - 1)], lambda *_: spread)
    return keeper, {verdict.limit: verdict for verdict in keeper.verdicts()}


def only(limits: Limits, *runs: Run, **options: object) -> Verdict:
    """The one verdict besides parity."""
    _, found = judged(limits, list(runs), **options)  # type: ignore[arg-type]
    (name,) = set(found) - {"parity"}
    return found[name]


# Times


def test_what_did_not_change_passes_soon() -> None:
    keeper, found = judged(Limits(max_slowdown_percent=3), [run(2.0)])
    assert len(keeper.runs) == 4
    assert {name: verdict.outcome for name, verdict in found.items()} == {
        "max_slowdown_percent": "PASS",
        "parity": "PASS",
    }


def test_a_slower_network_fails_once_a_rerun_says_so_too() -> None:
    keeper, found = judged(Limits(max_slowdown_percent=3), [run(2.12)])
    verdict = found["max_slowdown_percent"]
    assert len(keeper.runs) == 8
    assert verdict.outcome == "FAIL"
    assert verdict.figure == pytest.approx(6.0)
    assert verdict.low is not None
    assert verdict.low > 3
    assert verdict.sentence.startswith(
        "dense, batch 1, onnxruntime, fp32: latency 6.0 % above the baseline's (interval "
    )
    assert verdict.sentence.endswith("limit 3.0 %, confirmed by 4 further runs (6.0 %): FAIL.")


def test_a_slowdown_that_went_away_is_inconclusive() -> None:
    _, found = judged(Limits(max_slowdown_percent=3), [*[run(2.12)] * 4, run(2.0)])
    verdict = found["max_slowdown_percent"]
    assert verdict.outcome == "INCONCLUSIVE"
    assert "not confirmed by 4 further runs (0.0 %)" in verdict.sentence


def test_what_is_not_confirmed_yet_is_no_fail() -> None:
    keeper = Gatekeeper(Limits(max_slowdown_percent=3), Sequencing(), FACTS)
    for _ in range(4):
        keeper.add(run(2.12), lambda *_: QUIET)
    assert keeper.is_confirming
    assert keeper.runs_to_next_look == 4
    assert overall(verdict.outcome for verdict in keeper.verdicts()) == "INCONCLUSIVE"


def test_at_the_limit_it_says_so_after_the_last_look() -> None:
    keeper, found = judged(Limits(max_slowdown_percent=3), [run(2.06)])
    assert found["max_slowdown_percent"].outcome == "INCONCLUSIVE"
    assert len(keeper.runs) == 16


def test_without_calibration_the_first_look_is_later() -> None:
    keeper, found = judged(Limits(max_slowdown_percent=3), [run(2.0), run(2.01)], spread=None)
    assert len(keeper.runs) == 6
    assert found["max_slowdown_percent"].outcome == "PASS"


@pytest.mark.parametrize(
    ("limits", "outcome", "words"),
    [
        (Limits(max_latency_ms=2.1), "PASS", "latency 2.00 ms (interval "),
        (Limits(max_latency_ms=1.9), "FAIL", "limit 1.90 ms"),
        (Limits(min_fps=450), "PASS", "throughput 490 FPS"),
        (Limits(min_fps=520), "FAIL", "limit 520 FPS"),
        (Limits(max_p99_ms=2.6), "PASS", "99th percentile of the latency 2.50 ms"),
        (Limits(max_p95_slowdown_percent=5), "PASS", "95th percentile of the latency 0.0 % above"),
        (
            Limits(max_energy_mj=5),
            "INCONCLUSIVE",
            "energy of an inference was not measured in every run, limit 5.00 mJ",
        ),
    ],
)
def test_each_timed_limit_is_judged_in_its_unit(limits: Limits, outcome: str, words: str) -> None:
    verdict = only(limits, run(2.0))
    assert verdict.outcome == outcome
    assert words in verdict.sentence


def test_an_interval_of_throughput_runs_from_low_to_high() -> None:
    verdict = only(Limits(min_fps=450), run(2.0))
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.figure is not None
    assert verdict.low < verdict.figure < verdict.high


def test_a_network_that_the_baseline_lacks_is_inconclusive() -> None:
    verdict = only(Limits(max_slowdown_percent=3), run(2.0, None))
    assert verdict.outcome == "INCONCLUSIVE"
    assert "the baseline has no such network" in verdict.sentence


def test_former_figures_stand_in_for_a_baseline() -> None:
    kept = Reference({(DENSE_SUBJECT, "latency"): tuple(map(math.log, (1.99, 2.0, 2.01, 2.0)))}, {})
    passed = only(Limits(max_slowdown_percent=3), run(2.0, None), reference=kept)
    failed = only(Limits(max_slowdown_percent=3), run(2.2, None), reference=kept)
    assert (passed.outcome, failed.outcome) == ("PASS", "FAIL")
    assert failed.figure == pytest.approx(10, abs=0.1)


# What is the same in every run


@pytest.mark.parametrize(
    ("bad", "limit", "words"),
    [
        (parity_failed_cell(DENSE, 1), "parity", "it fails parity (logits differ by 0.31 of the largest"),
        (failed_cell(DENSE, 1, "no tactic found"), "engine", "it cannot be measured (no tactic found)"),
    ],
)
def test_a_network_that_does_not_serve_fails_after_two_runs(bad: Cell, limit: str, words: str) -> None:
    keeper, found = judged(Limits(max_slowdown_percent=3), [run(bad)])
    assert len(keeper.runs) == 2
    assert found[limit].outcome == "FAIL"
    assert words in found[limit].sentence
    assert found["max_slowdown_percent"].outcome == "INCONCLUSIVE"


def test_what_fails_now_and_then_is_inconclusive() -> None:
    _, found = judged(Limits(), [run(parity_failed_cell(DENSE, 1)), run(2.0)])
    assert found["parity"].outcome == "INCONCLUSIVE"
    assert "in 1 of 2 runs" in found["parity"].sentence


def test_a_baseline_that_cannot_be_measured_either_clears_the_candidate() -> None:
    _, found = judged(Limits(), [run(failed_cell(DENSE, 1, "no memory"), failed_cell(DENSE, 1, "no memory"))])
    assert found["engine"].outcome == "INCONCLUSIVE"
    assert "as does the baseline" in found["engine"].sentence


@pytest.mark.parametrize(
    ("natural", "flips", "outcome"),
    [
        (126, Flips(0, 0), "PASS"),
        (125, Flips(1, 0), "PASS"),  # 0.8 points
        (123, Flips(3, 0), "INCONCLUSIVE"),  # 2.3 points, which three images do not show
        (116, Flips(10, 0), "FAIL"),
        (116, Flips(40, 30), "INCONCLUSIVE"),
        (116, None, "FAIL"),  # by the interval alone: 7.8 points
        (128, Flips(0, 2), "PASS"),
    ],
)
def test_a_fall_in_accuracy_must_be_more_than_chance(natural: int, flips: Flips | None, outcome: str) -> None:
    facts = {"dense": NetworkFacts(1, natural=flips)}
    verdict = only(
        Limits(max_natural_drop_points=1), run(timed_cell(2.0, natural=natural), timed_cell(2.0)), facts=facts
    )
    assert verdict.outcome == outcome
    assert f"natural accuracy {100 * natural / 128:.1f} % against 98.4 %" in verdict.sentence


def test_a_baseline_file_tells_accuracies_too() -> None:
    kept = Reference({}, {(DENSE_SUBJECT, "robust"): proportion(119, 128)})
    verdict = only(Limits(max_robust_drop_points=2), run(timed_cell(2.0, robust=60), None), reference=kept)
    assert verdict.outcome == "FAIL"
    assert verdict.figure == pytest.approx(100 * 59 / 128)


def test_accuracies_of_other_images_are_not_compared() -> None:
    kept = Reference({}, {(DENSE_SUBJECT, "natural"): proportion(60, 64)})
    assert only(Limits(max_natural_drop_points=1), run(2.0, None), reference=kept).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(("least", "outcome"), [(98, "PASS"), (99, "INCONCLUSIVE"), (99.9, "FAIL")])
def test_a_least_accuracy(least: float, outcome: str) -> None:
    natural = 1260
    cell = timed_cell(2.0)
    assert cell.parity is not None
    many = Proportion(value=natural / 1280, successes=natural, count=1280)
    cell = cell.model_copy(update={"parity": cell.parity.model_copy(update={"natural": many})})
    assert only(Limits(min_natural_percent=least), run(cell)).outcome == outcome


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        (Limits(max_size_mib=2), "PASS"),
        (Limits(max_size_mib=1.9), "FAIL"),
        (Limits(max_size_increase_percent=100), "PASS"),
        (Limits(max_size_increase_percent=99), "FAIL"),
        (Limits(max_build_s=0.1), "PASS"),
        (Limits(max_build_s=0.05), "FAIL"),
    ],
)
def test_sizes_and_builds_are_exact(limits: Limits, outcome: str) -> None:
    assert only(limits, run(2.0)).outcome == outcome


def test_a_cached_engine_has_no_build_to_judge() -> None:
    cell = timed_cell(2.0)
    assert cell.build is not None
    cached = cell.model_copy(update={"build": cell.build.model_copy(update={"from_cache": True})})
    assert only(Limits(max_build_s=1), run(cached)).outcome == "INCONCLUSIVE"


def test_every_limit_is_judged() -> None:
    plain = [name for name in Limits.model_fields if name != "max_drop_points"]
    everything = Limits(**dict.fromkeys(plain, 1.0), max_drop_points={"cosine": 1.0})
    _, found = judged(everything, [run(2.0)])
    assert set(found) == {*plain, "max_drop_points.cosine", "parity"}
    assert SETTING.words == ("batch 1", "onnxruntime", "fp32")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["PASS", "PASS"], "PASS"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["FAIL", "INCONCLUSIVE", "PASS"], "FAIL"),
        ([], "INCONCLUSIVE"),
    ],
)
def test_the_worst_counts(outcomes: list[str], expected: str) -> None:
    assert overall(outcomes) == expected  # type: ignore[arg-type]


def test_an_attack_that_is_not_to_be_trusted_decides_nothing() -> None:
    facts = {"dense": NetworkFacts(1, untrusted="the attack on dense cannot be trusted (it found no gradient)")}
    limits = Limits(min_robust_percent=1, max_robust_drop_points=100, min_natural_percent=1)
    _, found = judged(limits, [run(timed_cell(2.0), timed_cell(2.0))], facts=facts)
    assert {name: verdict.outcome for name, verdict in found.items()} == {
        "parity": "PASS",
        "min_natural_percent": "PASS",
        "min_robust_percent": "INCONCLUSIVE",
        "max_robust_drop_points": "INCONCLUSIVE",
    }
    assert "it found no gradient" in found["min_robust_percent"].sentence
    without, _ = judged(Limits(min_natural_percent=1), [run(timed_cell(2.0), timed_cell(2.0))], facts=facts)
    assert without.verdicts()[-1].outcome == "PASS"
