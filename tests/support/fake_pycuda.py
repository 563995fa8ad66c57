"""A stand-in for ``pycuda.driver`` that is stricter than CUDA: what CUDA leaves undefined is an error here.

Memory of the "GPU" is NumPy arrays by address. Work is queued on a stream and done when it is synchronised, so
that what is read too early is stale. Every call needs a current context; what is freed is dead. While a stream is
captured, work on it becomes a graph, and whatever would wait for the GPU is an error.
"""

import ctypes
import itertools
import threading
import time
import types
from importlib.machinery import ModuleSpec

import numpy as np


class Error(Exception):
    """Base of CUDA's errors."""


class LogicError(Error):
    """The call is wrong."""


class MemoryError(Error):
    """There is no memory left."""


class Gpu:
    """One GPU with its memory, and the module ``pycuda.driver`` that drives it."""

    def __init__(self, memory_bytes=2**33, shared=True, multiprocessors=8):
        self.memory_bytes = memory_bytes
        self.shared = shared  # with the CPU, as on a Jetson
        self.faults = []  # what could not be raised, for it happened in a destructor
        self.memory = {}  # address -> bytes of one live allocation
        self.started = False
        self.retained = 0
        self.multiprocessors = multiprocessors
        self.context_flags = 0  # of the primary context
        self.pinned = []
        self.streams = {}
        self.graphs = {}  # handle -> the work captured in it
        self.handles = itertools.count(0x7F00_0000_1000, 0x1000)  # too large for 32 bits, as the driver's are
        self._addresses = itertools.count(0x1000_0000, 0x1000_0000)
        self._local = threading.local()

    @property
    def stack(self):
        """The contexts of this thread, the current one last."""
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        return self._local.stack

    def check_current(self, call):
        if not self.stack:
            raise LogicError(f"{call} failed: invalid device context")

    def buffer(self, address, size, call):
        """The bytes of a live allocation of at least ``size``."""
        if int(address) not in self.memory:
            raise LogicError(f"{call} failed: {int(address):#x} is not allocated")
        found = self.memory[int(address)]
        if len(found) < size:
            raise LogicError(f"{call} failed: {size} bytes do not fit into {len(found)}")
        return found[:size]

    def is_pinned(self, array):
        return any(np.shares_memory(array, pinned) for pinned in self.pinned)

    def check_not_capturing(self, call):
        if any(stream.captured is not None for stream in self.streams.values()):
            raise LogicError(f"{call} failed: operation not permitted when stream is capturing")

    @property
    def free_bytes(self):
        return self.memory_bytes - sum(map(len, self.memory.values()))

    def allocate(self, size):
        self.check_current("cuMemAlloc")
        self.check_not_capturing("cuMemAlloc")
        if size > self.free_bytes:
            raise MemoryError("cuMemAlloc failed: out of memory")
        address = next(self._addresses)
        self.memory[address] = np.full(size, 0xCD, np.uint8)
        return address

    def module(self):
        """Return the modules ``pycuda`` and ``pycuda.driver``."""
        package, driver = types.ModuleType("pycuda"), types.ModuleType("pycuda.driver")
        package.__spec__ = ModuleSpec("pycuda", None, is_package=True)
        package.__path__ = []
        package.driver = driver
        driver.Error, driver.LogicError, driver.MemoryError = Error, LogicError, MemoryError
        driver.gpu = self
        for make in (_device, _context_free_functions, _stream, _event, _memory):
            make(self, driver)
        return package, driver

    def driver_library(self, name="libcuda.so.1"):
        """Return the driver's functions as ``ctypes`` loads them: called by the prototypes of cuda.h."""
        assert name == "libcuda.so.1"
        return _driver_library(self)


def _device(gpu, driver):
    def init(flags=0):
        gpu.started = True

    class Context:
        def push(self):
            self._check()
            gpu.stack.append(self)

        @staticmethod
        def pop():
            gpu.check_current("cuCtxPopCurrent")
            gpu.stack.pop()

        def detach(self):
            """As pycuda's: one that is not current is pushed first, and is left so."""
            self._check()
            if not gpu.stack or gpu.stack[-1] is not self:
                gpu.stack.append(self)
            self._dead = True
            gpu.retained -= 1

        def __del__(self):
            if not getattr(self, "_dead", False):
                self.detach()

        def _check(self):
            if getattr(self, "_dead", False):
                raise LogicError("the context was released")

    class Device:
        def __init__(self, number):
            if not gpu.started:
                raise LogicError("cuDeviceGet failed: initialization error")
            if number != 0:
                raise LogicError("cuDeviceGet failed: invalid device ordinal")

        def name(self):
            return "Double"

        def compute_capability(self):
            return (7, 2)

        def get_attribute(self, attr):
            if attr != driver.device_attribute.INTEGRATED:
                raise LogicError("cuDeviceGetAttribute failed: invalid argument")
            return int(gpu.shared)

        def retain_primary_context(self):
            gpu.retained += 1
            return Context()

    class device_attribute:  # noqa: N801  # as pycuda has it
        INTEGRATED = 18

    driver.init, driver.Context, driver.Device = init, Context, Device
    driver.device_attribute = device_attribute


def _context_free_functions(gpu, driver):
    def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
        gpu.check_current("cuMemHostAlloc")
        gpu.check_not_capturing("cuMemHostAlloc")
        array = np.empty(shape, dtype, order)
        array.view(np.uint8).reshape(-1)[:] = 0xCD
        gpu.pinned.append(array)
        return array

    def mem_get_info():
        gpu.check_current("cuMemGetInfo")
        return gpu.free_bytes, gpu.memory_bytes

    driver.pagelocked_empty, driver.mem_get_info = pagelocked_empty, mem_get_info


def _stream(gpu, driver):
    class Stream:
        def __init__(self, flags=0):
            gpu.check_current("cuStreamCreate")
            self.handle = 0x5000 + len(gpu.streams)
            self.queue = []
            self.captured = None
            gpu.streams[self.handle] = self

        def enqueue(self, work):
            (self.queue if self.captured is None else self.captured).append(work)

        def synchronize(self):
            gpu.check_current("cuStreamSynchronize")
            gpu.check_not_capturing("cuStreamSynchronize")
            queue, self.queue = self.queue, []
            for work in queue:
                work()

    driver.Stream = Stream


def _event(gpu, driver):
    class Event:
        def __init__(self, flags=0):
            gpu.check_current("cuEventCreate")
            self._time = None

        def record(self, stream=None):
            gpu.check_current("cuEventRecord")
            gpu.check_not_capturing("cuEventRecord")
            if stream is None:
                raise LogicError("recorded on the default stream")
            self._time = None
            stream.enqueue(self._note)

        def time_till(self, event):
            gpu.check_current("cuEventElapsedTime")
            if self._time is None or event._time is None:
                raise LogicError("cuEventElapsedTime failed: device not ready")
            return (event._time - self._time) * 1e3

        def _note(self):
            self._time = time.perf_counter()

    driver.Event = Event


def _memory(gpu, driver):
    class DeviceAllocation:
        def __init__(self, size):
            self._address = gpu.allocate(size)

        def __int__(self):
            return self._address

        __index__ = __int__

        def free(self):
            gpu.check_current("cuMemFree")
            if gpu.memory.pop(self._address, None) is None:
                raise LogicError("cuMemFree failed: freed twice")

    def memcpy_htod(dest, src):
        gpu.check_current("cuMemcpyHtoD")
        gpu.check_not_capturing("cuMemcpyHtoD")
        if not src.flags.c_contiguous:
            raise ValueError("ndarray is not contiguous")
        gpu.buffer(dest, src.nbytes, "cuMemcpyHtoD")[:] = np.frombuffer(src.tobytes(), np.uint8)

    def memcpy_htod_async(dest, src, stream=None):
        gpu.check_current("cuMemcpyHtoDAsync")
        _check_host(src, stream)
        gpu.buffer(dest, src.nbytes, "cuMemcpyHtoDAsync")

        def copy():
            memory = gpu.buffer(dest, src.nbytes, "cuMemcpyHtoDAsync")
            memory[:] = np.frombuffer(src.tobytes(), np.uint8)

        stream.enqueue(copy)

    def memcpy_dtoh_async(dest, src, stream=None):
        gpu.check_current("cuMemcpyDtoHAsync")
        _check_host(dest, stream)
        gpu.buffer(src, dest.nbytes, "cuMemcpyDtoHAsync")

        def copy():
            memory = gpu.buffer(src, dest.nbytes, "cuMemcpyDtoHAsync")
            dest[...] = memory.view(dest.dtype).reshape(dest.shape)

        stream.enqueue(copy)

    def _check_host(array, stream):
        if stream is None:
            raise LogicError("copied on the default stream")
        if not gpu.is_pinned(array):
            raise LogicError("copied from or to memory that is not page-locked: that would not be asynchronous")

    driver.DeviceAllocation, driver.mem_alloc = DeviceAllocation, DeviceAllocation
    driver.memcpy_htod = memcpy_htod
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async


_SUCCESS, _INVALID_VALUE, _NOT_INITIALISED, _UNMATCHED = 0, 1, 3, 903
_ERROR_NAMES = {
    _INVALID_VALUE: b"CUDA_ERROR_INVALID_VALUE",
    _NOT_INITIALISED: b"CUDA_ERROR_NOT_INITIALIZED",
    100: b"CUDA_ERROR_NO_DEVICE",
    _UNMATCHED: b"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
}


def _driver_library(gpu):
    """Functions of libcuda.so.1 with the types of cuda.h, over ``gpu``. Flags of a context in use are refused."""
    out = ctypes.POINTER(ctypes.c_void_p)

    def begin(stream, mode):
        if stream not in gpu.streams or mode not in (0, 1, 2) or gpu.streams[stream].captured is not None:
            return _INVALID_VALUE
        gpu.check_current("cuStreamBeginCapture")
        gpu.streams[stream].captured = []
        return _SUCCESS

    def end(stream, graph):
        work, gpu.streams[stream].captured = gpu.streams[stream].captured, None
        if work is None:
            return _UNMATCHED
        graph[0] = next(gpu.handles)
        gpu.graphs[graph[0]] = work
        return _SUCCESS

    def instantiate(executable, graph, flags):
        if graph not in gpu.graphs or flags != 0:
            return _INVALID_VALUE
        executable[0] = next(gpu.handles)
        gpu.graphs[executable[0]] = list(gpu.graphs[graph])
        return _SUCCESS

    def launch(executable, stream):
        if executable not in gpu.graphs or stream not in gpu.streams:
            return _INVALID_VALUE
        for work in gpu.graphs[executable]:
            gpu.streams[stream].enqueue(work)
        return _SUCCESS

    def destroy(graph):
        return _INVALID_VALUE if gpu.graphs.pop(graph, None) is None else _SUCCESS

    def error_name(error, text):
        text[0] = _ERROR_NAMES.get(error)
        return _SUCCESS if error in _ERROR_NAMES else _INVALID_VALUE

    handle = ctypes.c_void_p

    def initialise(flags):
        gpu.started = True
        return _SUCCESS if flags == 0 else _INVALID_VALUE

    def get_device(device, ordinal):
        if not gpu.started:
            return _NOT_INITIALISED
        device[0] = ordinal
        return _SUCCESS if ordinal == 0 else _INVALID_VALUE

    def get_attribute(value, attribute, device):
        known = {13: 1_377_000, 16: gpu.multiprocessors, 18: int(gpu.shared), 75: 7, 76: 2}
        if not gpu.started:
            return _NOT_INITIALISED
        if attribute not in known or device != 0:
            return _INVALID_VALUE
        value[0] = known[attribute]
        return _SUCCESS

    def get_version(version):
        version[0] = 11_040
        return _SUCCESS

    def get_name(text, size, device):
        if not gpu.started:
            return _NOT_INITIALISED
        if device != 0 or size < len(b"Double\0"):
            return _INVALID_VALUE
        ctypes.memmove(text, b"Double\0", len(b"Double\0"))
        return _SUCCESS

    def get_memory(size, device):
        if not gpu.started:
            return _NOT_INITIALISED
        size[0] = gpu.memory_bytes
        return _SUCCESS if device == 0 else _INVALID_VALUE

    def get_state(device, flags, active):
        flags[0], active[0] = gpu.context_flags, int(gpu.retained > 0)
        return _SUCCESS

    def set_flags(device, flags):
        if gpu.retained or flags & 7 not in (0, 1, 2, 4):
            return _INVALID_VALUE
        gpu.context_flags = flags
        return _SUCCESS

    numbers, flags = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_uint)
    prototypes = {
        "cuInit": (initialise, ctypes.c_uint),
        "cuDeviceGet": (get_device, numbers, ctypes.c_int),
        "cuDeviceGetAttribute": (get_attribute, numbers, ctypes.c_int, ctypes.c_int),
        "cuDeviceGetName": (get_name, ctypes.c_void_p, ctypes.c_int, ctypes.c_int),  # a buffer, to be written to
        "cuDeviceTotalMem_v2": (get_memory, ctypes.POINTER(ctypes.c_size_t), ctypes.c_int),
        "cuDriverGetVersion": (get_version, numbers),
        "cuDevicePrimaryCtxGetState": (get_state, ctypes.c_int, flags, numbers),
        "cuDevicePrimaryCtxSetFlags_v2": (set_flags, ctypes.c_int, ctypes.c_uint),
        "cuStreamBeginCapture_v2": (begin, handle, ctypes.c_int),
        "cuStreamEndCapture": (end, handle, out),
        "cuGraphInstantiateWithFlags": (instantiate, out, handle, ctypes.c_ulonglong),
        "cuGraphLaunch": (launch, handle, handle),
        "cuGraphExecDestroy": (destroy, handle),
        "cuGraphDestroy": (destroy, handle),
        "cuGetErrorName": (error_name, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
    }
    return types.SimpleNamespace(
        **{
            name: ctypes.CFUNCTYPE(ctypes.c_int, *parameters)(function)
            for name, (function, *parameters) in prototypes.items()
        }
    )
