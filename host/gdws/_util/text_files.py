"""Text files written by people, in any editor."""

from __future__ import annotations

import codecs
from pathlib import Path

#: Byte order marks and their encodings; without one a file is UTF-8.
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_text(path: Path) -> str:
    """The text at ``path``, without the byte order mark that editors on Windows add.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is neither UTF-8 nor what its mark says.
    """
    content = path.read_bytes()
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")
