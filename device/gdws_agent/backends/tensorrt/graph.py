"""CUDA graphs: work on a stream captured once and launched as a whole.

pycuda has none of the driver's functions for them, in any release, so they are called here directly.
"""

from __future__ import annotations

from ctypes import POINTER, byref, c_int, c_ulonglong, c_void_p
from typing import Callable

from gdws_agent.backends.cuda.driver import Driver

_CAPTURE_MODE_THREAD_LOCAL = 1  # as trtexec has it: other threads may go on calling CUDA

_PROTOTYPES = {
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
}


class Graph:
    """Captured work, to be launched on the stream that it was captured on."""

    def __init__(self, driver: Driver, executable: c_void_p, stream_handle: int) -> None:
        self._driver = driver
        self._executable = executable
        self._stream = c_void_p(stream_handle)

    def launch(self) -> None:
        """Queue the work on the stream.

        Raises:
            DriverFailed: the driver refuses.
        """
        self._driver.call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Give the graph's memory back."""
        self._driver.call("cuGraphExecDestroy", self._executable)


def capture(stream_handle: int, work: Callable[[], None]) -> Graph:
    """Return what ``work`` queues on the stream, as a graph; nothing of it is run.

    ``work`` must have run before: libraries set themselves up in their first call, and that cannot be captured.
    Whatever it raises ends the capture and is passed on.

    Raises:
        DriverFailed: the driver has no graphs, or refuses the work.
    """
    driver = Driver(_PROTOTYPES, "graphs")
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
