"""One figure of disagreement from the metrics of tasks."""

from __future__ import annotations

from typing import Optional

import pytest

from gdws_contract.findings.agreement import Disagreement, disagreement
from gdws_contract.measures import Figure, Interval, Proportion


def _share(value: float, interval: Optional[Interval] = None) -> Proportion:
    return Proportion(value=value, successes=round(100 * value), count=100, interval=interval)


def test_a_share_falls_short_of_all_and_its_interval_turns_round():
    kept = _share(0.95, Interval(low=0.90, high=0.98, method="bootstrap"))
    found = disagreement({"detections_kept": kept, "detections_confirmed": _share(0.2), "map": _share(0.3)})
    assert found == pytest.approx((5.0, 2.0, 10.0))


def test_an_error_is_a_share_by_itself_and_the_worst_output_counts():
    error = Figure(value=0.03, higher_is_better=False)
    found = disagreement({"relative_error.a": error, "equal.b": _share(0.96), "cosine.a": _share(0.5)})
    assert found == Disagreement(pytest.approx(4.0), None, None)


def test_without_a_metric_of_agreement_there_is_no_answer():
    assert disagreement({}) is None
    assert disagreement({"map": _share(0.3)}) is None
