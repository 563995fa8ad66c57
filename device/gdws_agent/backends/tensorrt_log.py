"""What TensorRT says while it works: it tells why something failed here, not in what it returns."""

from __future__ import annotations

from typing import Any, List, Type

from .errors import BackendError, typed

#: Enough to hold the cause; TensorRT repeats it on its way up.
_MAX_LINES = 8


class Messages:
    """The errors that TensorRT reported since they were last taken."""

    def __init__(self) -> None:
        self._errors: List[str] = []

    def add(self, message: str) -> None:
        """Keep one error, without its line breaks."""
        self._errors.append(" ".join(message.split()))

    def take(self) -> str:
        """Return the errors, each once and in order, and forget them; empty when there were none."""
        errors, self._errors = list(dict.fromkeys(self._errors)), []
        return "; ".join(errors[:_MAX_LINES])


def make_logger(trt: Any, messages: Messages) -> Any:
    """Return a logger for TensorRT that keeps errors in ``messages``. It must outlive whatever is made with it."""
    serious = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc]  # its base is known at run time alone
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, msg: str) -> None:
            if severity in serious:
                messages.add(msg)

    return Logger()


def failure(messages: Messages, kind: Type[BackendError], what: str) -> BackendError:
    """Return the error for a call that failed without raising, in TensorRT's own words."""
    return typed(RuntimeError(messages.take() or "TensorRT gave no reason"), kind, what)
