from __future__ import annotations

import random

import pytest

from gdws_contract.findings.accuracy import paired_change


def test_only_images_that_differ_count():
    baseline = [True] * 90 + [False] * 10
    variant = [True] * 87 + [False] * 3 + [True] * 1 + [False] * 9
    change = paired_change(baseline, variant)
    assert change.points == pytest.approx(-2.0)
    assert change.low < -2.0 < change.high
    same = paired_change(baseline, baseline)
    assert (same.points, same.low < 0 < same.high) == (0.0, True)
    assert paired_change(variant, baseline).low == pytest.approx(-change.high)
    with pytest.raises(ValueError, match="do not pair"):
        paired_change([True], [])


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    drawn, covered, trials = random.Random(0), 0, 400
    for _ in range(trials):
        kinds = drawn.choices(("both", "lost", "gained"), weights=(0.95, 0.03, 0.02), k=300)
        change = paired_change([kind != "gained" for kind in kinds], [kind != "lost" for kind in kinds])
        covered += change.low <= -1.0 <= change.high
    assert 0.92 <= covered / trials <= 0.99
