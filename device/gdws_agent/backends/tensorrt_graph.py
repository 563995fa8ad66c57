"""CUDA graphs: work on a stream captured once and launched as a whole.

pycuda has none of the driver's functions for them, in any release, so they are called here directly. They are
those of CUDA 11.4 and later, JetPack 5 among it.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_ulonglong, c_void_p
from typing import Any, Callable

_LIBRARY = "libcuda.so.1"
_CAPTURE_MODE_THREAD_LOCAL = 1  # as trtexec has it: other threads may go on calling CUDA

#: Function -> its parameters; each returns a CUresult.
_PROTOTYPES = {
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
}


class GraphFailed(Exception):
    """There are no CUDA graphs here, or this work cannot be one."""


class Graph:
    """Captured work, to be launched on the stream that it was captured on."""

    def __init__(self, driver: _Driver, executable: c_void_p, stream_handle: int) -> None:
        self._driver = driver
        self._executable = executable
        self._stream = c_void_p(stream_handle)

    def launch(self) -> None:
        """Queue the work on the stream.

        Raises:
            GraphFailed: the driver refuses.
        """
        self._driver.call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Give the graph's memory back."""
        self._driver.call("cuGraphExecDestroy", self._executable)


def load_driver(name: str) -> Any:
    """Return the CUDA driver's library. It is loaded already wherever CUDA runs."""
    return ctypes.CDLL(name)


def capture(stream_handle: int, work: Callable[[], None]) -> Graph:
    """Return what ``work`` queues on the stream, as a graph; nothing of it is run.

    ``work`` must have run before: libraries set themselves up in their first call, and that cannot be captured.
    Whatever it raises ends the capture and is passed on.

    Raises:
        GraphFailed: the driver has no graphs, or refuses the work.
    """
    driver = _Driver()
    stream, captured, executable = c_void_p(stream_handle), c_void_p(), c_void_p()
    driver.call("cuStreamBeginCapture_v2", stream, _CAPTURE_MODE_THREAD_LOCAL)
    try:
        work()
    except BaseException:
        driver.try_call("cuStreamEndCapture", stream, byref(captured))
        if captured:
            driver.try_call("cuGraphDestroy", captured)
        raise
    driver.call("cuStreamEndCapture", stream, byref(captured))
    try:
        driver.call("cuGraphInstantiateWithFlags", byref(executable), captured, 0)
    finally:
        driver.try_call("cuGraphDestroy", captured)
    return Graph(driver, executable, stream_handle)


class _Driver:
    """The CUDA driver's functions for graphs, with their prototypes."""

    def __init__(self) -> None:
        try:
            library = load_driver(_LIBRARY)
            self._functions = {name: getattr(library, name) for name in _PROTOTYPES}
        except (OSError, AttributeError) as error:
            raise GraphFailed(f"the CUDA driver has no graphs: {error}") from error
        for name, function in self._functions.items():
            function.argtypes = _PROTOTYPES[name]
            function.restype = c_int

    def call(self, name: str, *arguments: Any) -> None:
        result = self.try_call(name, *arguments)
        if result != 0:
            raise GraphFailed(f"{name} failed: {self._error_name(result)}")

    def try_call(self, name: str, *arguments: Any) -> int:
        return int(self._functions[name](*arguments))

    def _error_name(self, result: int) -> str:
        name = c_char_p()
        if self.try_call("cuGetErrorName", result, byref(name)) == 0 and name.value:
            return name.value.decode()
        return f"CUDA error {result}"
