"""Finds what a pickle would call when loaded, without loading it."""

from __future__ import annotations

import contextlib
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_PLAIN_MODULES = ("torch", "torch._utils", "torch.storage", "torch.nn.parameter", "torch._tensor")


def foreign_globals(path: Path) -> list[str]:
    """The names, other than those of tensors and plain containers, that the file's pickles refer to, sorted.

    Both formats of ``torch.save`` are searched, and any other file of pickles, as far as it can be parsed.
    Only for error messages, not for decisions: a hostile file can hide its names.
    """
    found = set()
    with contextlib.suppress(Exception):  # hostile bytes fail in many ways, and each ends the search
        for module, name in _globals(path):
            if module not in _PLAIN_MODULES and (module, name) != ("collections", "OrderedDict"):
                found.add(f"{module}.{name}")
    return sorted(found)


def _globals(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each global in the pickles of a file, which follow one another."""
    strings: list[str] = []
    with _open_pickles(path) as stream:
        while True:  # ends with the error at the end of the file
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in _STRINGS:
                    strings.append(str(argument))
                elif opcode.name in ("GLOBAL", "INST"):
                    module, _, name = str(argument).partition(" ")
                    yield module, name
                elif opcode.name == "STACK_GLOBAL":
                    yield strings[-2], strings[-1]


@contextlib.contextmanager
def _open_pickles(path: Path) -> Iterator[IO[bytes]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        member = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(member) as stream:
            yield stream
