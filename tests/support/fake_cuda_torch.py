"""torch as it is on a machine with a GPU, for tests on one without: tensors stay on the CPU.

What cannot be had without CUDA is done here: events, the stream, page-locked memory. Forgives nothing: times of
events that were not recorded or not waited for are an error, as on a GPU.
"""

import time


class Misuse(AssertionError):
    """A call that CUDA refuses, or answers with nonsense."""


class CudaTorch:
    """Stands in for the module ``torch``; everything that is not of the GPU is torch's own."""

    def __init__(self, capability=(7, 2)):
        import torch

        self._torch = torch
        self.cuda = _Cuda(capability)
        #: Tensors in page-locked memory, in the order of their making.
        self.pinned = []

    def __getattr__(self, name):
        return getattr(self._torch, name)

    def device(self, kind):
        """The CPU, whichever is asked for."""
        assert kind in ("cpu", "cuda")
        return self._torch.device("cpu")

    def empty(self, *size, pin_memory=False, **options):
        made = self._torch.empty(*size, **options)
        if pin_memory:
            self.pinned.append(made)
        return made


class _Cuda:
    def __init__(self, capability):
        self._capability = capability
        self._stream = _Stream()
        self.emptied = 0

    def is_available(self):
        return True

    def get_device_capability(self):
        return self._capability

    def current_stream(self):
        return self._stream

    def empty_cache(self):
        self.emptied += 1

    def Event(self, enable_timing=False):  # noqa: N802  torch calls it so
        return _Event(self._stream, enable_timing)


class _Stream:
    def __init__(self):
        self.pending = []

    def synchronize(self):
        for event in self.pending:
            event.done = True
        self.pending = []


class _Event:
    def __init__(self, stream, enable_timing):
        self._stream = stream
        self._timing = enable_timing
        self.at = None
        self.done = False

    def record(self):
        self.at = time.perf_counter()
        self.done = False
        self._stream.pending.append(self)

    def elapsed_time(self, end):
        if not (self._timing and end._timing):
            raise Misuse("events were made without timing")
        if not (self.done and end.done):
            raise Misuse("an event was not recorded, or the stream not waited for")
        return 1e3 * (end.at - self.at)
