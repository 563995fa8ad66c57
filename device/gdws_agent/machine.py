"""Shortages of the machine, which say nothing about the network: descriptors, memory, processes, disk."""

from __future__ import annotations

import errno
import re
from typing import Optional

#: The problem code of a job that ended because the machine was short of resources for too long.
MACHINE_SHORT = "machine-short"

_NUMBERS = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE),  # too many open files, of the process or of the machine
        *(errno.EAGAIN, errno.ENOMEM),  # no more processes or threads, no memory for them
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO),  # the disk
    }
)
#: In the words of libc, where a runtime or a process that ended tells of it in text alone. Memory is left out: there
#: the words are the same for a network that takes too much.
_WORDS = re.compile(
    r"too many open files|resource temporarily unavailable|can't start new thread|no space left on device"
    r"|disk quota exceeded|input/output error",
    re.IGNORECASE,
)
#: Links of a chain of causes that are followed.
_MAX_CAUSES = 10


class MachineShort(Exception):
    """The machine is short of resources for measuring; retrying later may help."""


def is_machine_fault(error: BaseException, quotable: bytes = b"") -> bool:
    """Return whether ``error``, or one of its causes, is a shortage of the machine.

    Words that are in ``quotable`` do not count: an error may quote the names in a network's file.
    """
    link: Optional[BaseException] = error
    for _ in range(_MAX_CAUSES):
        if link is None:
            break
        if isinstance(link, OSError) and link.errno in _NUMBERS:
            return True
        if not isinstance(link, OSError) and tells_of_machine(str(link), quotable):
            return True
        link = link.__cause__
    return False


def tells_of_machine(text: str, quotable: bytes = b"") -> bool:
    """Return whether ``text`` reports a shortage of the machine, outside of the words in ``quotable``."""
    said = {match.group().lower().encode() for match in _WORDS.finditer(text)}
    return any(words not in quotable.lower() for words in said)
