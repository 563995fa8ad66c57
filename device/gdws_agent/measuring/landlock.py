"""Landlock, which lets a process drop its access to files and the network. Linux 5.13 and later.

Rights that a ruleset handles are denied everywhere but beneath the paths of its rules, for the calling thread, for
the threads and processes that it starts from then on, and for good. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
from typing import Iterable, Optional

#: The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
#: Writing, and making and removing files of every kind; from interface 2 on also moving them to another folder.
_WRITE_BY_INTERFACE = {1: _WRITE_FILE | sum(1 << bit for bit in range(4, 13)), 2: 1 << 13, 3: _TRUNCATE}
_CONNECT_AND_LISTEN = 1 << 0 | 1 << 1  # TCP, from interface 4 on
_SIGNAL_OTHERS = 1 << 1  # from interface 6 on


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]

    @classmethod
    def size(cls, interface: int) -> int:
        """Return the size of the structure for a kernel with that version of the interface."""
        known = 1 if interface < 4 else 2 if interface < 6 else 3
        return known * ctypes.sizeof(ctypes.c_uint64)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def interface() -> Optional[int]:
    """Return the version of the kernel's interface, or None if it is absent or disabled."""
    found = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION))
    return found if found > 0 else None


def restrict(readable: Iterable[str], writable: Iterable[str]) -> Optional[int]:
    """Drop read access outside of ``readable`` and write access outside of ``writable``; return the interface version.

    Where the kernel can, also give up TCP and signals to other processes. Paths that cannot be opened are passed
    over. What may be written may be read too. None, and nothing changed, where the kernel has no landlock. Needs
    :func:`~gdws_agent.measuring.privileges.forbid_new_privileges` first.

    Raises:
        OSError: the kernel refuses, e.g. because it was asked too often already.
    """
    version = interface()
    if version is None:
        return None
    write = sum(rights for since, rights in _WRITE_BY_INTERFACE.items() if since <= version)
    attributes = _Ruleset(_READ | write, _CONNECT_AND_LISTEN, _SIGNAL_OTHERS)
    size = ctypes.c_size_t(_Ruleset.size(version))
    ruleset = _libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset < 0:
        _raise()
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in writable:
            _allow(ruleset, path, _READ | write)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            _raise()
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = _PathBeneath(rights, descriptor)
        if _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0) != 0:
            _raise()
    finally:
        os.close(descriptor)


def _raise() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
