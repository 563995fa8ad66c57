"""What an error of a device means for a sweep: try later, leave the device, or leave the job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gdws.errors import DeviceError, DeviceRefused
from gdws_contract.rest import DeviceInfo


class Scope(Enum):
    """What the trouble is about."""

    LATER = "the device cannot serve at the moment"
    DEVICE = "the device cannot serve until somebody acts"
    JOB = "the device cannot measure this job"


@dataclass(frozen=True)
class Trouble:
    """Why a job was not measured."""

    scope: Scope
    reason: str


class IdentityChanged(DeviceError):
    """Another machine answers at the address than before."""


#: Statuses that concern the token, and those that concern the access, which does not come back by itself.
_TOKEN = frozenset({401, 403})
_ACCESS = _TOKEN | {421}
_TOKEN_HINT = "correct token_file or token_variable in the file of devices, and resume with --devices"
#: Statuses below 500 that pass: timeouts, a full queue, a rate limit.
_PASSING = frozenset({408, 429})


def judge(error: DeviceError) -> Trouble:
    """What ``error`` means. An agent that cannot be reached or answers nonsense may be restarting."""
    is_token = isinstance(error, DeviceRefused) and error.status in _TOKEN
    hint = _TOKEN_HINT if is_token else error.hint
    reason = error.message if hint is None else f"{error.message} ({hint})"
    if isinstance(error, IdentityChanged):
        return Trouble(Scope.DEVICE, reason)
    if not isinstance(error, DeviceRefused) or error.status in _PASSING or error.status >= 500:
        return Trouble(Scope.LATER, reason)
    return Trouble(Scope.DEVICE if error.status in _ACCESS else Scope.JOB, reason)


def identity(info: DeviceInfo) -> dict[str, str]:
    """What tells a machine from others, as far as an agent knows it."""
    told = {"host name": info.hostname, "board": info.board, "CPU": info.cpu_model, "architecture": info.machine}
    return {name: value for name, value in told.items() if value is not None}


def require_same(before: dict[str, str], info: DeviceInfo, url: str) -> None:
    """Raise :class:`IdentityChanged` if ``info`` is of another machine than ``before``."""
    now = identity(info)
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if changed:
        told = ", ".join(f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in changed)
        raise IdentityChanged(
            f"another machine answers at {url}: {told}",
            url=url,
            hint="correct the address and resume; if it is the same machine, resume with --accept-identity",
        )
