from __future__ import annotations

import pytest

from gdws.cli.views.profile_table import bar, sum_by_source
from gdws_contract.profiles import LayerTime


@pytest.mark.parametrize(
    ("share", "longest", "expected"),
    [
        (0.5, 0.5, "█" * 20),
        (0.25, 0.5, "█" * 10),
        (0.5 / 160, 0.5, "▏"),
        (0.5 * 9 / 160, 0.5, "█▏"),
        (0.0, 0.5, ""),
        (0.0, 0.0, ""),
        (0.6, 0.5, "█" * 20),
    ],
)
def test_bars_are_of_the_longest(share: float, longest: float, expected: str) -> None:
    assert bar(share, longest, blocks=True) == expected


def test_bars_on_a_terminal_without_blocks() -> None:
    assert bar(0.25, 0.5, blocks=False) == "#" * 10


def test_what_came_from_one_layer_is_added_up_the_longest_first() -> None:
    layers = [
        LayerTime(name="a", source="conv1", mean_ms=1.0, share=0.1),
        LayerTime(name="b", mean_ms=3.0, share=0.3),
        LayerTime(name="c", source="conv2", mean_ms=2.0, share=0.2),
        LayerTime(name="d", source="conv1", mean_ms=4.0, share=0.4),
    ]
    sums = sum_by_source(layers)
    assert [(name, count, ms) for name, count, ms, _ in sums] == [
        ("conv1", 2, 5.0),
        ("(none)", 1, 3.0),
        ("conv2", 1, 2.0),
    ]
    assert sum(share for _, _, _, share in sums) == pytest.approx(1)
