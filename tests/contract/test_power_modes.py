import pytest

from gdws_contract.power_modes import in_words, matching

MODES = ["MAXN", "MODE_15W", "MODE_30W_ALL", "MODE_30W_2CORE"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("MAXN", ["MAXN"]),
        (1, ["MODE_15W"]),
        ("30w", ["MODE_30W_ALL", "MODE_30W_2CORE"]),
        ("10W", []),
        (4, []),
        ("", []),
    ],
)
def test_all_modes_that_may_be_meant_are_told(asked, found):
    assert matching(asked, MODES) == found
    assert matching(asked, []) == []


def test_modes_are_told_with_their_numbers():
    assert in_words(MODES[:2]) == "0 MAXN, 1 MODE_15W"
