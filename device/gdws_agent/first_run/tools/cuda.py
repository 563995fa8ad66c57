"""Facts about the GPU, told by the CUDA driver and by TensorRT, as JSON on standard output.

::

    python -m gdws_agent.first_run.tools.cuda

A process of its own: a driver that hangs or crashes costs one check, and no memory of the GPU stays taken. What
cannot be read is null, and ``problems`` says why.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from typing import Any, Callable, Dict, List, Optional

from gdws_agent.backends.tensorrt.log import Log

#: CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _CLOCK_KHZ, _INTEGRATED, _MAJOR, _MINOR = 16, 13, 18, 75, 76
#: How the host waits for the GPU: the low bits of the primary context's flags (CU_CTX_SCHED_MASK).
_SCHEDULING = {0: "auto", 1: "spin", 2: "yield", 4: "blocking"}
_SCHEDULING_MASK = 0x07


class DriverRefused(Exception):
    """A call of the CUDA driver failed."""


def driver_facts(load: Callable[[str], Any] = ctypes.CDLL) -> Dict[str, Any]:
    """Return what the driver tells of the first GPU, without making a context.

    Raises:
        OSError: the driver's library cannot be loaded. DriverRefused: a call fails, e.g. without a GPU.
    """
    driver = load("libcuda.so.1")

    def call(name: str, *arguments: Any) -> None:
        status = getattr(driver, name)(*arguments)
        if status != 0:
            raise DriverRefused(f"{name} answers {status}")

    def number(name: str, *arguments: Any) -> int:
        found = ctypes.c_int(0)
        call(name, ctypes.byref(found), *arguments)
        return found.value

    call("cuInit", 0)
    device = number("cuDeviceGet", 0)
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGetName", name, len(name), device)
    memory, flags, active = ctypes.c_size_t(0), ctypes.c_uint(0), ctypes.c_int(0)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    call("cuDevicePrimaryCtxGetState", device, ctypes.byref(flags), ctypes.byref(active))
    version = number("cuDriverGetVersion")
    return {
        "gpu": name.value.decode("utf-8", "replace"),
        "compute_capability": f"{number('cuDeviceGetAttribute', _MAJOR, device)}."
        f"{number('cuDeviceGetAttribute', _MINOR, device)}",
        "multiprocessors": number("cuDeviceGetAttribute", _MULTIPROCESSORS, device),
        "gpu_clock_mhz": number("cuDeviceGetAttribute", _CLOCK_KHZ, device) / 1e3,
        "gpu_memory_mib": memory.value // 2**20,
        "shares_memory_with_cpu": bool(number("cuDeviceGetAttribute", _INTEGRATED, device)),
        "cuda_of_driver": f"{version // 1000}.{version % 1000 // 10}",
        "scheduling_by_default": _SCHEDULING.get(flags.value & _SCHEDULING_MASK, str(flags.value)),
    }


def tensorrt_facts(import_module: Callable[[str], Any] = importlib.import_module) -> Dict[str, Any]:
    """Return what TensorRT's builder tells of the GPU and its accelerators; null what this release does not tell.

    Raises: whatever TensorRT raises where it is missing, broken, or CUDA does not start.
    """
    trt = import_module("tensorrt")
    log = Log(trt)
    builder = trt.Builder(log.logger)
    return {
        "tensorrt": str(trt.__version__),
        "dla_cores": getattr(builder, "num_DLA_cores", None),
        "fast_fp16": getattr(builder, "platform_has_fast_fp16", None),
        "fast_int8": getattr(builder, "platform_has_fast_int8", None),
    }


def main() -> int:
    """Print the facts and return 0: what is missing is told, and is no failure of this process."""
    facts: Dict[str, Any] = {}
    problems: List[str] = []
    for ask in (driver_facts, tensorrt_facts):
        problem = _add(facts, ask)
        if problem is not None:
            problems.append(problem)
    print(json.dumps({**facts, "problems": problems}))
    return 0


def _add(facts: Dict[str, Any], ask: Callable[[], Dict[str, Any]]) -> Optional[str]:
    try:
        facts.update(ask())
    except Exception as error:  # SDKs raise what they like
        return f"{ask.__name__.partition('_')[0]}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
