"""The log of TensorRT: calls do not return why they failed, the log says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Type

from gdws_agent.backends.errors import typed
from gdws_agent.errors import BackendError

if TYPE_CHECKING:
    from tensorrt import ILogger

#: Enough to hold the cause, which TensorRT repeats at each level of the call stack.
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


class Log:
    """One logger of TensorRT and its messages.

    While a builder or runtime is alive, TensorRT uses the logger of the first, and ignores any other that it
    is given: so builders and engines that live side by side must share one, and it must outlive them.
    """

    def __init__(self, trt: Any) -> None:
        self.messages = Messages()
        self.logger = make_logger(trt, self.messages)


def make_logger(trt: Any, messages: Messages) -> ILogger:
    """Return a logger for TensorRT that keeps errors in ``messages``."""
    serious = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc]  # its base is known at run time alone
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, msg: str) -> None:
            if severity in serious:
                messages.add(msg)

    logger: ILogger = Logger()
    return logger


def failure(messages: Messages, kind: Type[BackendError], what: str) -> BackendError:
    """Return the error for a call that failed without raising, in TensorRT's own words."""
    return typed(RuntimeError(messages.take() or "TensorRT gave no reason"), kind, what)
