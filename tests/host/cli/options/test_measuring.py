from __future__ import annotations

import pytest

from gdws.cli.options.agents import given, milliseconds
from gdws.cli.options.measuring import MeasuringOptions


@pytest.mark.parametrize(
    ("names", "expected"),
    [(None, None), ([], None), (["MAXN", "0", "15W"], ["MAXN", 0, "15W"]), (["-1", "²"], ["-1", "²"])],
)
def test_a_power_mode_is_a_number_or_a_name(names: list[str] | None, expected: object) -> None:
    assert MeasuringOptions(power_mode=names).power_modes() == expected


def test_what_no_option_gave_is_left_out() -> None:
    assert given(a=None, b=0, c=False) == {"b": 0, "c": False}


def test_seconds_become_milliseconds() -> None:
    assert milliseconds(1.5) == 1500.0
    assert milliseconds(None) is None
