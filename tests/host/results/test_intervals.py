from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws.results.intervals import is_near_chance, proportion, wilson


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [  # published examples: Newcombe (1998), Table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_examples(successes, count, low, high):
    assert wilson(successes, count, level=0.95) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data())
def test_it_holds_the_share_and_mirrors(count, data):
    successes = data.draw(st.integers(0, count))
    low, high = wilson(successes, count, level=0.95)
    assert 0 <= low <= successes / count <= high <= 1
    assert low < high
    mirrored = wilson(count - successes, count, level=0.95)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("successes", "count"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion(successes, count):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, count, level=0.95)


def test_the_record_says_how():
    found = proportion(98, 100)
    assert (found.value, found.successes, found.count) == (0.98, 98, 100)
    assert found.interval is not None
    assert (found.interval.level, found.interval.method) == (0.95, "wilson")


@pytest.mark.parametrize(
    ("successes", "count", "classes", "near"),
    [
        (10, 100, 10, True),
        (14, 100, 10, True),
        (16, 100, 10, False),
        (0, 100, 1000, True),
        (1, 100, 1000, False),
        (50, 100, 2, True),
        (80, 100, 2, False),
        (4, 5, 2, False),
        (5, 100, None, False),
    ],
)
def test_accuracy_near_chance(successes, count, classes, near):
    assert is_near_chance(proportion(successes, count), classes) is near
