"""The checks of a first run: their order, what each needs, and how long each may take."""

from __future__ import annotations

from typing import Callable, Collection, Dict, List, NamedTuple, Tuple

from .bench import Bench
from .checks.clocks import check_clocks
from .checks.health import check_device, check_doctor, check_token
from .checks.layouts import check_layouts
from .checks.profile import check_profile
from .checks.rails import check_rails
from .checks.stack import check_stack
from .checks.throttling import check_throttling
from .checks.trtexec import check_trtexec
from .report import Outcome


class Check(NamedTuple):
    """One check. Those that it ``needs`` come before it; where one of them failed, it is skipped.

    ``limit_s`` is far above what it takes on a board in its highest mode: about a quarter of an hour for all.
    """

    name: str
    title: str
    run: Callable[[Bench], Outcome]
    limit_s: float
    needs: Tuple[str, ...] = ()


#: Checks that measure need exclusive use of the device.
_MEASURES = ("device",)

CHECKS: Tuple[Check, ...] = (
    Check("stack", "Versions, GPU and accelerators", check_stack, 120),
    Check("doctor", "The start-up check", check_doctor, 60),
    Check("token", "The access token", check_token, 30),
    Check("device", "The device is free", check_device, 30),
    Check("profile", "Times layer by layer, and the precision in force", check_profile, 900, _MEASURES),
    Check("trtexec", "Times against trtexec", check_trtexec, 1_200, _MEASURES),
    Check("rails", "Power against tegrastats", check_rails, 600, _MEASURES),
    Check("clocks", "Power mode and clocks set, held, given back", check_clocks, 300, _MEASURES),
    Check("throttling", "Throttling under load", check_throttling, 600, _MEASURES),
    Check("layouts", "What each layout costs", check_layouts, 1_800, _MEASURES),
)


class UnknownCheck(Exception):
    """There is no check of that name."""


def select(only: Collection[str] = (), skip: Collection[str] = ()) -> List[Check]:
    """Return the checks to run, in their order: all, or ``only`` those with what they need, without ``skip``.

    Raises:
        UnknownCheck: a name is not that of a check, ``skip`` leaves out what another check needs, or none is left.
    """
    known: Dict[str, Check] = {check.name: check for check in CHECKS}
    for name in (*only, *skip):
        if name not in known:
            raise UnknownCheck(f"there is no check {name!r}; there are {', '.join(known)}")
    wanted = set(only or known) - set(skip)
    if not wanted:
        raise UnknownCheck("no check is left to run")
    needed = {need for name in wanted for need in known[name].needs}
    missing = needed & set(skip)
    if missing:
        raise UnknownCheck(f"{', '.join(sorted(missing))} cannot be skipped: what measures needs it")
    return [check for check in CHECKS if check.name in wanted | needed]
