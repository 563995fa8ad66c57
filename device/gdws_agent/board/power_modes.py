"""The power mode of the board that a request means."""

from __future__ import annotations

from typing import Sequence, Union

from gdws_agent.errors import ClocksUnavailable, PowerModeUnknown
from gdws_contract.power_modes import in_words, matching, refusal


def find_mode(asked: Union[str, int], modes: Sequence[str]) -> str:
    """Return the board's name of the mode requested by name or number; ``modes`` are by number.

    :func:`gdws_contract.power_modes.matching` tells what may be meant.

    Raises:
        ClocksUnavailable: the board has no modes. PowerModeUnknown: not one or more than one is meant.
    """
    if not modes:
        raise ClocksUnavailable("this board has no power modes", hint="leave power_modes out")
    found = matching(asked, modes)
    if len(found) == 1:
        return found[0]
    raise PowerModeUnknown(f"the board has {refusal(asked, found)}", hint=f"its modes are {in_words(modes)}")
