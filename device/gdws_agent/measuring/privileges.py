"""Linux privileges that a process can drop, and protection from other processes, by calls of the C library."""

from __future__ import annotations

import ctypes
import os

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CAPABILITY_VERSION_3 = 0x20080522

#: What root may do and keeps: to use files that are another user's, as Python's packages may be.
_DAC_OVERRIDE = 1 << 1


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("process", ctypes.c_int)]


class _Half(ctypes.Structure):
    """Bits of 32 capabilities."""

    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


_libc = ctypes.CDLL(None, use_errno=True)


def forbid_new_privileges() -> None:
    """Prevent programs started by this process from gaining privileges by set-user-id or file capabilities.

    Raises:
        OSError: the kernel does not know of it.
    """
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def close_memory() -> None:
    """Protect this process's memory and initial environment from other processes of its user; not inherited.

    Taken out of the environment, a token is still where the process was given it, for all of its user to read.

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def drop_capabilities() -> None:
    """Keep of root's capabilities the one to use files of others, if it is there. What others have none of stays so.

    Raises:
        OSError: the kernel refuses.
    """
    header, halves = _Header(_CAPABILITY_VERSION_3, 0), (_Half * 2)()
    _check(_libc.capget(ctypes.byref(header), halves))
    kept = halves[0].permitted & _DAC_OVERRIDE
    halves[0], halves[1] = _Half(kept, kept, 0), _Half(0, 0, 0)
    _check(_libc.capset(ctypes.byref(header), halves))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
