from __future__ import annotations

from gdws.pipeline.optimize.time_left import TimeLeft
from gdws.planning.search.goals import Effort
from gdws.planning.search.space import LayerOption, LayerOptions, Space

OPTIONS = tuple(LayerOption(str(place), None, None, 1, 0.0) for place in range(5))
SPACE = Space((LayerOptions("a", ("a",), "", OPTIONS),))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_from_how_long_steps_took():
    clock = Clock()
    left = TimeLeft(clock)
    left.plan(SPACE, Effort(rounds=2, judgements=3))  # 6 + 6 + 3 * 3 jobs, 6 judgements
    assert left.words() is None
    left.known("job")
    assert left.words() is None
    with left.step("job"):
        clock.now += 10
    assert left.words() == "at most 3 min of measuring left"
    with left.step("judgement"):
        clock.now += 2
    assert left.words() == "at most 3 min left"
    for _ in range(19):
        left.known("job")
    assert left.words() == "at most 10 s left"
    for _ in range(20):
        left.known("job")
    assert left.words() == "at most 10 s left"
    for _ in range(5):
        left.known("judgement")
    assert left.words() is None
