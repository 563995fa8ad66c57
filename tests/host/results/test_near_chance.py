"""When an accuracy is no better than guessing."""

import pytest

from gdws.results.near_chance import is_near_chance
from gdws_contract.findings.intervals import proportion


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
