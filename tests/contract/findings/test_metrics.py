"""The metrics of networks that are not classifiers, in words and beside the baseline's."""

from __future__ import annotations

import pytest

from gdws_contract.findings.metrics import change_of, metrics_of, summary
from gdws_contract.findings.result import findings_of
from gdws_contract.findings.verdict import Verdict
from gdws_contract.manifest import HostEvaluation, Origin
from gdws_contract.measures import Figure, Interval, Metric
from support.benchmark_results import CUT, DENSE, KEPT, proportion, task_result


def evaluated(metrics: dict[str, Metric], origin: Origin = "network") -> HostEvaluation:
    return HostEvaluation(data="streets, test", origin=origin, metrics=metrics)


def figure(value: float, half: float = 0.004, *, better: bool = True) -> Figure:
    interval = Interval(low=value - half, high=value + half, method="bootstrap")
    return Figure(value=value, higher_is_better=better, interval=interval)


def judge(*found: dict[str, Metric], origin: Origin = "network") -> Verdict:
    """The verdict on networks that found that, the first the dense one; the third is faster than the second."""
    nets = [DENSE, KEPT, CUT][: len(found)]
    evaluations = [evaluated(metrics, origin) for metrics in found]
    made = task_result(nets, evaluations, {"kind": "detection", "layout": "yolov8"})
    return findings_of(made.job, made.manifest, is_simulated=False).verdicts[0]


ALL = {"detections_kept": proportion(40, 40), "detections_confirmed": proportion(40, 40)}
MOST = {"detections_kept": proportion(39, 40), "detections_confirmed": proportion(39, 41)}
FEW = {"detections_kept": proportion(10, 40), "detections_confirmed": proportion(10, 11)}
NEW = {"detections_kept": proportion(40, 40), "detections_confirmed": proportion(40, 400)}


def test_metrics_are_told_in_the_words_of_the_task() -> None:
    kept, confirmed = metrics_of(evaluated(dict(reversed(MOST.items()))), evaluated(ALL))
    assert (kept.words, kept.shown, kept.leads) == ("detections kept", "97.5 % (39 of 40)", True)
    assert (confirmed.words, confirmed.leads) == ("detections confirmed", False)
    assert kept.title == "Detections kept"
    assert metrics_of(evaluated({"map": figure(0.4)}, "labelled"), None)[0].title == "mAP at IoU 0.5 to 0.95"
    assert kept.is_agreement
    assert kept.change is None
    assert kept.interval == "95.5–99.5 %"


def test_each_output_has_its_name_and_the_worst_leads() -> None:
    found = metrics_of(
        evaluated({f"relative_error.{name}": figure(error, better=False) for name, error in (("a", 0.01), ("b", 0.3))}),
        None,
    )
    assert [(each.words, each.leads, each.kept) for each in found] == [
        ("relative error of a", False, True),
        ("relative error of b", True, False),
    ]


def test_a_users_own_metric_comes_first_under_its_name_and_is_not_judged() -> None:
    first, _ = metrics_of(evaluated({"cosine": figure(0.9999), "within_3_pixels": figure(0.7)}), None)
    assert (first.words, first.kept, first.leads) == ("within 3 pixels", None, True)


def test_accuracies_are_not_among_them_but_in_the_summary() -> None:
    classifier = evaluated({"natural_accuracy": proportion(985, 1000)}, "labelled")
    assert metrics_of(classifier, None) == ()
    assert summary(classifier) == ["natural accuracy 98.5 % (985 of 1,000)"]
    assert summary(evaluated(classifier.metrics)) == ["natural agreement 98.5 % (985 of 1,000)"]
    assert summary(evaluated(MOST)) == ["detections kept 97.5 % (39 of 40)"]


def test_the_fastest_that_keeps_the_answers_is_told_of() -> None:
    verdict = judge(ALL, MOST, FEW)
    assert (verdict.kind, verdict.variant, verdict.accuracy) == ("faster", KEPT.name, "agreement")
    assert "on streets, test: detections kept 97.5 % (39 of 40); without true labels" in verdict.sentence
    assert judge(ALL, MOST, MOST).variant == CUT.name


@pytest.mark.parametrize(("metrics", "words"), [(FEW, "detections kept 25.0 %"), (NEW, "detections confirmed 10.0 %")])
def test_a_network_of_other_answers_is_not_called_as_good(metrics: dict[str, Metric], words: str) -> None:
    verdict = judge(ALL, metrics)
    assert (verdict.kind, verdict.title) == ("changed", "Faster, but other answers")
    assert words in verdict.sentence


def test_noise_judges_no_agreement() -> None:
    assert judge(ALL, FEW, origin="noise").kind == "faster"


@pytest.mark.parametrize(("after", "kind"), [(0.371, "gain"), (0.362, "trade")])
def test_a_metric_with_labels_has_a_price_as_an_accuracy_has(after: float, kind: str) -> None:
    verdict = judge({"map": figure(0.374)}, {"map": figure(after)}, origin="labelled")
    assert verdict.kind == kind
    assert f"mAP at IoU 0.5 to 0.95 {after} against 0.374 (streets, test)" in verdict.sentence
    assert "accuracy" not in verdict.sentence


def test_without_intervals_a_fall_is_told_and_not_judged() -> None:
    bare = Figure(value=0.3, higher_is_better=True)
    assert judge({"map": bare}, {"map": bare}, origin="labelled").kind == "faster"


def test_a_change_needs_the_same_images() -> None:
    a, b = evaluated(MOST), evaluated(ALL)
    change = change_of("detections_kept", a, b)
    assert change is not None
    assert change.points == pytest.approx(-2.5)
    assert change.low < -2.5 < change.high
    assert change_of("detections_kept", a.model_copy(update={"data": "others"}), b) is None
