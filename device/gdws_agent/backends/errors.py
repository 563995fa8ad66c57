"""What runtimes raise -> the agent's errors."""

from __future__ import annotations

import re
from typing import Type

from gdws_agent.errors import BackendError, OutOfMemory

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
        return OutOfMemory(f"{what}: there is not enough memory ({text})", hint="use a smaller batch or fewer variants")
    return kind(f"{what}: {text or type(error).__name__}")


def in_one_line(error: Exception) -> str:
    """Return kind and message of ``error`` without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())
