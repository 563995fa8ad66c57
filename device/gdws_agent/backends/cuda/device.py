"""The first GPU as the CUDA driver knows it: how many of its units are on, and how the CPU waits for it."""

from __future__ import annotations

from ctypes import POINTER, byref, c_int, c_uint
from typing import Optional, Tuple

from .driver import Driver, DriverFailed

_MULTIPROCESSOR_COUNT = 16  # of CUdevice_attribute
_SCHEDULES = {0: "auto", 1: "spin", 2: "yield", 4: "block"}  # CUctx_flags
_SCHEDULE_MASK = 0x07
_SPIN = 1

_PROTOTYPES = {
    "cuInit": (c_uint,),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxGetState": (c_int, POINTER(c_uint), POINTER(c_int)),
    "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint),
}


def multiprocessor_count() -> Optional[int]:
    """Return how many multiprocessors are on, which some power modes of a Jetson lower; None where unknown."""
    try:
        driver, device = _start()
        count = c_int()
        driver.call("cuDeviceGetAttribute", byref(count), _MULTIPROCESSOR_COUNT, device)
    except DriverFailed:
        return None
    return count.value


def spin_while_waiting() -> str:
    """Have the CPU spin while it waits for the GPU, and return the setting in force, as ``cuda_wait=...``.

    CUDA's own choice, auto, may block instead, by the power profile of a Jetson: times would then differ for a
    reason other than the GPU. Call it before anything creates the GPU's primary context; an existing context is left as
    it is, and reported.
    """
    try:
        driver, device = _start()
        flags, is_active = c_uint(), c_int()
        driver.call("cuDevicePrimaryCtxGetState", device, byref(flags), byref(is_active))
        if not is_active.value:
            driver.call("cuDevicePrimaryCtxSetFlags_v2", device, flags.value & ~_SCHEDULE_MASK | _SPIN)
            driver.call("cuDevicePrimaryCtxGetState", device, byref(flags), byref(is_active))
    except DriverFailed as error:
        return f"cuda_wait=not known, {error}"
    return f"cuda_wait={schedule_in_words(flags.value)}"


def schedule_in_words(flags: int) -> str:
    """Return how the CPU waits for the GPU in a context with ``flags``; ``auto`` leaves it to CUDA."""
    return _SCHEDULES.get(flags & _SCHEDULE_MASK, "unknown")


def _start() -> Tuple[Driver, c_int]:
    driver, device = Driver(_PROTOTYPES, "device functions"), c_int()
    driver.call("cuInit", 0)
    driver.call("cuDeviceGet", byref(device), 0)
    return driver, device
