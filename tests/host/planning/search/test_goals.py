from __future__ import annotations

import pytest

from gdws.errors import GdwsError
from gdws.planning.search.evidence import Loss, PointsLost
from gdws.planning.search.goals import AccuracyLimits, Goal, next_error


@pytest.mark.parametrize(
    ("goal", "bound"),
    [
        (Goal("max_latency_ms", 33.0), 33.0),
        (Goal("min_fps", 100.0), 80.0),
        (Goal("min_speedup", 2.0), 25.0),
        (Goal("fastest"), None),
        (Goal("pareto", 3), None),
    ],
)
def test_each_goal_bounds_what_a_network_takes(goal: Goal, bound: float | None):
    assert goal.bound(50.0, batch_size=8) == bound


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("max_latency_ms", 0.0, "expected a positive number, got 0"),
        ("min_fps", None, "expected a positive number, got None"),
        ("min_fps", float("inf"), "expected a positive number"),
        ("min_speedup", 0.9, "0.9 is no gain"),
        ("pareto", 2.5, "a whole number of networks"),
    ],
)
def test_goals_that_make_no_sense_are_refused(kind: str, value: float | None, words: str):
    with pytest.raises(GdwsError, match=words):
        Goal(kind, value)  # type: ignore[arg-type]


def test_the_excess_is_the_largest_share_of_a_limit():
    loss = Loss(PointsLost(0.5, 0, 1, 100), PointsLost(1.5, 0, 2, 100))
    assert AccuracyLimits(1.0, 1.0).excess(loss) == 1.5
    assert AccuracyLimits(1.0, None).excess(loss) == 0.5
    assert AccuracyLimits(0.0, 2.0).excess(loss) == float("inf")
    assert AccuracyLimits(0.0, None).excess(Loss(PointsLost(-0.1, -1, 1, 100), None)) == 0.0
    with pytest.raises(GdwsError, match="not between 0 and 100"):
        AccuracyLimits(-1.0)


@pytest.mark.parametrize("limit", [0.003, 0.02, 0.3, 5.0])
@pytest.mark.parametrize("power", [0.7, 1.0, 1.5])
def test_the_error_closes_in_on_the_limit(limit: float, power: float):
    least, most = 1e-4, 1.0
    points: list[tuple[float, float]] = []
    while (error := next_error(points, least, most)) is not None:
        points.append((error, (error / limit) ** power))
        assert len(points) < 12
    best = max(error for error, excess in points if excess <= 1)
    assert (best / limit) ** power > 0.8 or best == most


def test_where_no_error_is_allowed_the_search_ends():
    points: list[tuple[float, float]] = []
    while (error := next_error(points, 1e-3, 1.0)) is not None:
        points.append((error, float("inf")))
    assert len(points) < 8
