"""Every error that a backend raises on purpose.

::

    BackendError
    ├── UnknownBackend           there is no backend of that name
    ├── BackendUnavailable       its runtime is not installed, or does not start here
    ├── UnsupportedPrecision     it does not run in that precision here
    ├── BuildFailed              the model could not be made into an engine
    ├── RunFailed                an engine could not run
    └── OutOfMemory              memory did not suffice to build or run

``code`` and ``status`` are those of the problem document in the failed cell; ``hint`` tells the fix.
"""

from __future__ import annotations

import re
from typing import ClassVar, Optional, Type


class BackendError(Exception):
    """Base of the tree."""

    code: ClassVar[str] = "backend-failed"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UnknownBackend(BackendError):
    """There is no backend of that name."""

    code = "unknown-backend"
    status = 422


class BackendUnavailable(BackendError):
    """The runtime is not installed, or does not start here."""

    code = "backend-unavailable"
    status = 503


class UnsupportedPrecision(BackendError):
    """The backend does not run in that precision here."""

    code = "precision-unsupported"
    status = 422


class BuildFailed(BackendError):
    """The model could not be made into an engine."""

    code = "build-failed"
    status = 422


class RunFailed(BackendError):
    """An engine could not run."""

    code = "run-failed"


class OutOfMemory(BackendError):
    """Memory did not suffice to build or run."""

    code = "out-of-memory"


#: In the words of C++, ONNX Runtime, torch, TensorRT and CUDA.
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|bad allocation|failed to allocate memory|out ?of ?memory|can't allocate memory|not enough memory"
    r"|insufficient memory",
    re.IGNORECASE,
)


def typed(error: Exception, kind: Type[BackendError], what: str) -> BackendError:
    """Return what a runtime raised as one of ours: :class:`OutOfMemory` when it is that, else of ``kind``."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return OutOfMemory(f"{what}: memory does not suffice ({text})", hint="use a smaller batch or fewer variants")
    return kind(f"{what}: {text or type(error).__name__}")


def in_one_line(error: Exception) -> str:
    """Return kind and message of ``error`` without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())
