"""Limits on the metrics that the host measured."""

from __future__ import annotations

import pytest

from gdws.cli.options.gate import LimitOptions
from gdws.errors import GdwsError, SettingsError
from gdws.gate.metric_drops import Evaluations, drop_verdicts
from gdws.gate.settings import GateSettings
from gdws.gate.verdicts import Verdict
from gdws_contract.manifest import HostEvaluation
from gdws_contract.measures import Figure, Interval, Metric
from support.benchmark_results import proportion


def evaluated(name: str, metric: Metric, **changes: object) -> HostEvaluation:
    fields = {"data": "streets, test", "origin": "network", "metrics": {name: metric}, **changes}
    return HostEvaluation.model_validate(fields)


def figure(value: float, half: float | None = 0.004, *, better: bool = True) -> Figure:
    interval = None if half is None else Interval(low=value - half, high=value + half, method="bootstrap")
    return Figure(value=value, higher_is_better=better, interval=interval)


def judged(after: HostEvaluation | None, before: HostEvaluation | None, **limits: float) -> Verdict:
    (verdict,) = drop_verdicts(limits, "cut, batch 1", Evaluations(after, before, "dense"))
    return verdict


def kept(successes: int) -> HostEvaluation:
    return evaluated("detections_kept", proportion(successes, 1000))


@pytest.mark.parametrize(("successes", "outcome"), [(1000, "PASS"), (950, "PASS"), (949, "FAIL")])
def test_a_share_may_fall_so_many_points(successes: int, outcome: str) -> None:
    verdict = judged(kept(successes), kept(1000), detections_kept=5)
    assert (verdict.outcome, verdict.limit) == (outcome, "max_drop_points.detections_kept")
    assert f"detections kept {successes / 10:.1f} % ({successes:,} of 1,000) against 100.0 %" in verdict.sentence
    assert verdict.sentence.endswith(f"limit 5: {outcome}.")


def test_what_chance_may_have_done_is_no_fail() -> None:
    few = evaluated("detections_kept", proportion(37, 40))
    whole = evaluated("detections_kept", proportion(38, 40))
    assert judged(few, whole, detections_kept=1).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("half", "allowed", "outcome"), [(0.004, 10, "PASS"), (0.004, 2, "FAIL"), (0.1, 2, "INCONCLUSIVE"), (None, 2, None)]
)
def test_of_an_error_less_is_better(half: float | None, allowed: float, outcome: str | None) -> None:
    after, before = (evaluated("relative_error", figure(value, half, better=False)) for value in (0.06, 0.01))
    verdict = judged(after, before, relative_error=allowed)
    assert verdict.outcome == (outcome or "INCONCLUSIVE")
    assert verdict.figure == pytest.approx(5)
    assert "worse by +5.0 points" in verdict.sentence


@pytest.mark.parametrize(
    ("after", "before", "words"),
    [
        (None, kept(1000), "no evaluation of the candidate is known"),
        (kept(1000), None, "no evaluation of dense is known"),
        (evaluated("cosine", figure(1.0)), kept(1000), "no metric 'detections_kept', but cosine"),
        (evaluated("detections_kept", proportion(9, 10), origin="noise"), kept(1000), "the images are noise"),
        (evaluated("detections_kept", proportion(9, 10), data="others"), kept(1000), "is of streets, test"),
    ],
)
def test_what_is_not_known_is_inconclusive(
    after: HostEvaluation | None, before: HostEvaluation | None, words: str
) -> None:
    verdict = judged(after, before, detections_kept=5)
    assert verdict.outcome == "INCONCLUSIVE"
    assert words in verdict.sentence


def test_the_option_names_a_metric_and_its_points() -> None:
    limits = LimitOptions(max_drop=["detections_kept=5", "relative_error.boxes=2.5"]).limits()
    assert limits["max_drop_points"] == {"detections_kept": 5.0, "relative_error.boxes": 2.5}
    assert GateSettings().with_options(limits, {}, {}).limits.max_drop_points["detections_kept"] == 5.0


@pytest.mark.parametrize("text", ["detections_kept", "5", "=5", "cosine=-1", "cosine=many", "cosine=nan"])
def test_a_limit_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises((GdwsError, SettingsError)):
        GateSettings().with_options(LimitOptions(max_drop=[text]).limits(), {}, {})
