"""Sanitises untrusted text for display.

Names, messages and notes come from bundles and devices, which may be anyone's. In a terminal, a log or a page some
characters do more than be read: they move the cursor, change colours, turn the order of what follows, or begin a line
that looks like ours. Whatever shows such text lets it through :func:`visible` first.
"""

from __future__ import annotations


def visible(text: str, *, keep: str = "") -> str:
    r"""``text`` on one line, with invisible characters escaped, such as ``\x1b``.

    Those are what :meth:`str.isprintable` names: control and format characters, marks of writing direction, separators
    other than the space, lone surrogates, and code points that mean nothing. Those in ``keep`` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode("ascii") for each in text
    )


def visible_value(value: object) -> object:
    """What a page shows of ``value``: text through :func:`visible`, lines apart; markup and all else as it is."""
    return visible(value, keep="\n\t") if type(value) is str else value
