"""Every error this package raises on purpose.

::

    GdwsError
    ├── ModelError               the network cannot be handled as asked
    │   ├── NonFiniteWeights     a weight contains NaN or infinity
    │   └── UnknownNetwork       no network of that name is registered
    ├── PlanError                a plan is malformed or does not fit the network
    ├── CheckpointError          a checkpoint cannot be used
    │   ├── CheckpointUnreadable no checkpoint, truncated, or of an unknown form
    │   ├── CheckpointUnsafe     needs code to run when loaded: refused
    │   └── CheckpointMismatch   its keys or shapes are not the network's
    ├── DataError                a data set is absent, malformed or out of range
    ├── ExportError              ONNX export failed or its outputs differ
    ├── ResultError              a stored result is not one of ours
    ├── SettingsError            a settings file is malformed
    └── DeviceError              the agent could not serve
        ├── DeviceUnreachable    nothing answers there, or it went away
        ├── DeviceProtocolError  something answers, but not an agent of our kind
        ├── DeviceRefused        the agent answered with a problem document
        └── SettingUnavailable   the device does not enter a power mode, or does not hold its clocks

An error says what it was about and, in ``hint``, what to do next. Errors of reading
bundles come from :mod:`gdws_contract.errors`, which both sides of the wire share.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """What every command returns. Only 0 and 1 are answers; all else says why there is none.

    ``gdws lease run`` returns what the command that it runs returns.
    """

    DONE = 0
    """Done; of ``gdws gate``: PASS."""
    NEGATIVE = 1
    """Measured, and the answer is no: FAIL of a gate, a cell that failed or did not pass parity."""
    BAD_INPUT = 2
    """Bad input or usage; of ``gdws gate`` also INCONCLUSIVE."""
    UNAVAILABLE = 3
    """The device or its agent could not serve."""
    UNFORESEEN = 70
    """An unexpected error of this program or its environment: ``EX_SOFTWARE`` of ``sysexits.h``."""
    INTERRUPTED = 130
    """Interrupted, as shells say it of SIGINT."""


class GdwsWarning(UserWarning):
    """Something that the user should know and that stops nothing; the command line prints it as a note."""


class GdwsError(Exception):
    """Base of the tree; ``hint`` tells the fix, ``exit_code`` what the command returns."""

    exit_code: int = ExitCode.BAD_INPUT

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ModelError(GdwsError):
    """The network cannot be handled as asked; ``layer`` names the layer at fault, if there is one."""

    def __init__(self, message: str, *, layer: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.layer = layer


class NonFiniteWeights(ModelError):
    """A weight contains NaN or infinity."""


class UnknownNetwork(ModelError):
    """No network of that name is registered."""


class PlanError(GdwsError):
    """A plan is malformed or does not fit the network; ``field`` is the path of the field at fault."""

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class CheckpointError(GdwsError):
    """A checkpoint cannot be used; ``path`` is the file."""

    def __init__(self, message: str, *, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class CheckpointUnreadable(CheckpointError):
    """The file is absent, truncated or of no known form."""


class CheckpointUnsafe(CheckpointError):
    """The file can only be loaded by running code that it carries."""


class CheckpointMismatch(CheckpointError):
    """The checkpoint's keys or shapes are not the network's."""

    def __init__(
        self,
        message: str,
        *,
        path: str,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        wrong_shape: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.wrong_shape = tuple(wrong_shape)


class DataError(GdwsError):
    """A data set is absent, malformed or out of range."""


class ExportError(GdwsError):
    """ONNX export failed, or the exported network's outputs differ."""


class ResultError(GdwsError):
    """A stored result is not one of ours; ``field`` is the path of the field at fault."""

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class SettingsError(GdwsError):
    """A settings file is malformed; ``field`` is the path of the field at fault."""

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class DeviceError(GdwsError):
    """The agent at ``url`` could not serve."""

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, message: str, *, url: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.url = url


class DeviceUnreachable(DeviceError):
    """Nothing answers at the address, or the agent went away."""


class DeviceProtocolError(DeviceError):
    """Something answers, but not an agent that speaks our contract."""


class DeviceRefused(DeviceError):
    """The agent answered with a problem document; ``status`` is its HTTP status."""

    def __init__(self, message: str, *, url: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, url=url, hint=hint)
        self.status = status


class SettingUnavailable(DeviceError):
    """The device does not enter the power mode that was asked for, or does not hold its clocks."""


def first_line(error: BaseException) -> str:
    """The kind of a foreign error and the first line of what it says, cut to a readable length."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
