"""The GPU's primary context, which TensorRT uses too, held while engines are alive."""

from __future__ import annotations

import resource
import threading
import traceback
from typing import Any, NamedTuple, Optional, Set
from weakref import WeakKeyDictionary

from gdws_agent.errors import BackendUnavailable, RunFailed

from .device import spin_while_waiting
from .presence import GPU_HINT


class FreeMemory(NamedTuple):
    """What can be allocated on the GPU. ``shared``: GPU and CPU have the same memory, as on every Jetson."""

    size_bytes: int
    shared: bool


#: pycuda.driver -> the primary context, retained once for the life of the process: pycuda's ``detach``, which its
#: destructor calls too, pushes the context before it releases it, and leaves it pushed.
_RETAINED: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


class PrimaryContext:
    """Current in one thread from the first :meth:`retain` to the last :meth:`release`.

    pycuda keeps a stack of contexts for each thread, and engines are not freed in the order in which they were
    made: so the context is pushed once for all of them. ``wait_in_words`` tells how the CPU waits for the GPU.
    """

    def __init__(self, cuda: Any) -> None:
        self.wait_in_words = spin_while_waiting()
        self._cuda = cuda
        self._thread: Optional[int] = None
        self._holders = 0

    def retain(self) -> Any:
        """Make the context current, unless it is, and return the GPU, a ``pycuda.driver.Device``.

        Raises:
            BackendUnavailable: CUDA does not start. RunFailed: another thread holds the context.
        """
        if self._holders:
            self._check_thread()
        else:
            try:
                self._cuda.init()
                if self._cuda not in _RETAINED:
                    _RETAINED[self._cuda] = self._cuda.Device(0).retain_primary_context()
                _RETAINED[self._cuda].push()
            except self._cuda.Error as error:
                what = f"CUDA does not start: {error} (private memory of this process: {_private_memory()})"
                raise BackendUnavailable(what, hint=GPU_HINT) from error
            self._thread = threading.get_ident()
        self._holders += 1
        return self._cuda.Device(0)

    def release(self) -> None:
        """Give back one :meth:`retain`; the last one pops the context."""
        if not self._holders:
            raise RunFailed("the GPU's context is released more often than it was retained")
        self._check_thread()
        self._holders -= 1
        if self._holders == 0:
            self._cuda.Context.pop()

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise RunFailed("engines must be used and freed in the thread that built them")


def _private_memory() -> str:
    """Return how much of the address space that this process may map is used: on a board CUDA's mappings may count."""
    import psutil

    used_mib = psutil.Process().memory_info().data / 2**20
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = "without a limit" if limit == resource.RLIM_INFINITY else f"of {limit / 2**20:.0f} MiB"
    return f"{used_mib:.0f} MiB {allowed}"


def free_memory(cuda: Any, device: Any) -> FreeMemory:
    """Return what can be allocated on ``device`` now, in its current context.

    Where GPU and CPU share their memory, CUDA counts as used what the system would reclaim on demand, such as
    its page cache: there the system's figure counts, if it is larger.
    """
    import psutil

    size_bytes = int(cuda.mem_get_info()[0])
    shared = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))
    return FreeMemory(max(size_bytes, psutil.virtual_memory().available) if shared else size_bytes, shared)


def let_go(error: BaseException) -> None:
    """Empty the frames that ``error`` and its causes keep alive, but for those that are running.

    They hold what belongs to the GPU's context, such as a partly built engine, which must not outlive the context:
    whoever catches the error may keep it for longer.
    """
    seen: Set[int] = set()
    link: Optional[BaseException] = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
