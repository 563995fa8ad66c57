"""How OpenMP, whose threads torch computes with, waits for work."""

from __future__ import annotations

import os
from collections.abc import Mapping

_POLICY = "OMP_WAIT_POLICY"
_OURS = "PASSIVE"
#: Tells processes that this one starts that the policy is not the user's.
_MARK = "GDWS_OMP_WAIT_POLICY"


def wait_asleep() -> None:
    """Let threads that wait sleep, unless the environment says how they wait. Takes effect before torch is imported.

    By default they spin. Beside other processes they then take the processor from those that compute: with eight
    others on two cores, an attack took seven times as long.
    """
    if _POLICY not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
        os.environ[_POLICY] = os.environ[_MARK] = _OURS


def as_the_user_set(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without what :func:`wait_asleep` set: processes that measure time run as a user's own would."""
    ours = {_POLICY, _MARK} if _MARK in environment else set()
    return {name: value for name, value in environment.items() if name not in ours}
