import pytest

from gdws_agent.board.power_modes import find_mode
from gdws_agent.errors import ClocksUnavailable, PowerModeUnknown

XAVIER = ["MAXN", "MODE_10W", "MODE_15W", "MODE_30W_ALL", "MODE_30W_6CORE", "MODE_30W_4CORE", "MODE_15W_DESKTOP"]
ORIN_NANO = ["15W", "7W"]
ORIN_NANO_SUPER = ["15W", "25W", "MAXN_SUPER", "7W"]


@pytest.mark.parametrize(
    ("asked", "modes", "found"),
    [
        ("MAXN", XAVIER, "MAXN"),
        ("maxn", XAVIER, "MAXN"),
        ("10W", XAVIER, "MODE_10W"),
        ("mode 10w", XAVIER, "MODE_10W"),
        ("15W", XAVIER, "MODE_15W"),  # and not MODE_15W_DESKTOP, which begins so
        ("30W, all", XAVIER, "MODE_30W_ALL"),
        ("30w-6core", XAVIER, "MODE_30W_6CORE"),
        ("MODE_15W", ORIN_NANO, "15W"),
        ("MAXN", ORIN_NANO_SUPER, "MAXN_SUPER"),
        ("maxn super", ORIN_NANO_SUPER, "MAXN_SUPER"),
        ("30WALL", XAVIER, "MODE_30W_ALL"),
        ("mode15w", XAVIER, "MODE_15W"),
        ("15 W", ORIN_NANO, "15W"),
        (1, XAVIER, "MODE_10W"),
        ("3", ORIN_NANO_SUPER, "7W"),
    ],
)
def test_modes_are_found_by_number_name_or_part_of_the_name(asked, modes, found):
    assert find_mode(asked, modes) == found


@pytest.mark.parametrize("asked", ["MAXN", "5W", "1", "15", "W", "MODE_", "", 2, 63, -1, "-1", "\u00b2", "\u0663"])
def test_an_unknown_mode_is_refused_with_the_boards_modes(asked):
    with pytest.raises(PowerModeUnknown, match="the board has no power mode") as caught:
        find_mode(asked, ORIN_NANO if asked != "1" else ORIN_NANO[:1])
    assert caught.value.hint.startswith("its modes are 0 15W")


def test_an_ambiguous_mode_is_refused_with_its_matches():
    with pytest.raises(
        PowerModeUnknown, match="more than one power mode '30W': MODE_30W_ALL, MODE_30W_6CORE"
    ) as caught:
        find_mode("30W", XAVIER)
    assert "0 MAXN, 1 MODE_10W" in caught.value.hint


def test_a_board_without_modes():
    with pytest.raises(ClocksUnavailable):
        find_mode("MAXN", [])
