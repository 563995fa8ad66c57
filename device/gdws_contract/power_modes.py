"""Matching of a requested power mode with those of a board. Pure.

Boards name them differently: ``MAXN``, ``MAXN_SUPER``, ``15W``, ``MODE_15W``, ``MODE_30W_ALL``.
"""

from __future__ import annotations

import re
from typing import List, Optional, Sequence, Tuple, Union

_PREFIX = "MODE"
_NUMBER = re.compile("[0-9]+")  # str.isdigit takes more than int() does, such as a superscript


def in_words(modes: Sequence[str]) -> str:
    """Return the modes with their numbers, e.g. ``0 MAXN, 1 MODE_10W``."""
    return ", ".join(f"{number} {name}" for number, name in enumerate(modes))


def refusal(asked: Union[str, int], found: Sequence[str]) -> str:
    """Return what a board has in place of the one mode ``asked``, of which :func:`matching` found none or several."""
    return f"more than one power mode {asked!r}: {', '.join(found)}" if found else f"no power mode {asked!r}"


def matching(asked: Union[str, int], modes: Sequence[str]) -> List[str]:
    """Return those of ``modes``, by number, that a name or number may mean: one if it is clear.

    Letter case, separators and a leading ``MODE_`` do not matter, and what only one name begins with is enough:
    ``maxn`` is ``MAXN_SUPER`` where there is no ``MAXN``.
    """
    number = _number(asked)
    if number is not None:
        return [modes[number]] if number < len(modes) else []
    if asked in modes:
        return [str(asked)]
    same = [mode for mode in modes if _letters(mode) == _letters(str(asked))]
    wanted = _parts(str(asked))
    return same or [mode for mode in modes if wanted and _parts(mode)[: len(wanted)] == wanted]


def _number(asked: Union[str, int]) -> Optional[int]:
    text = str(asked).strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def _parts(name: str) -> Tuple[str, ...]:
    """Return the words of a name in capitals, e.g. ``("30W", "ALL")`` for ``MODE_30W_ALL``."""
    parts = tuple(part for part in re.split(r"[^A-Z0-9]+", name.upper()) if part)
    return parts[1:] if parts[:1] == (_PREFIX,) else parts


def _letters(name: str) -> str:
    """Return the letters and digits of a name in capitals, e.g. ``30WALL`` for ``MODE_30W_ALL``."""
    letters = "".join(re.findall("[A-Z0-9]+", name.upper()))
    return letters[len(_PREFIX) :] if letters.startswith(_PREFIX) else letters
