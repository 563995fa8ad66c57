"""Facts about the GPU from the CUDA driver and TensorRT, as JSON on standard output.

::

    python -m gdws_agent.first_run.tools.cuda

A process of its own: a driver that hangs or crashes costs one check, and no memory of the GPU stays allocated. What
cannot be read is null, and ``problems`` says why.
"""

from __future__ import annotations

import importlib
import json
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, create_string_buffer
from typing import Any, Callable, Dict, List, Optional

from gdws_agent.backends.cuda.device import schedule_in_words
from gdws_agent.backends.cuda.driver import Driver
from gdws_agent.backends.tensorrt.log import Log

#: CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _CLOCK_KHZ, _INTEGRATED, _MAJOR, _MINOR = 16, 13, 18, 75, 76
_NAME_BYTES = 256

_PROTOTYPES = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceTotalMem_v2": (POINTER(c_size_t), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxGetState": (c_int, POINTER(c_uint), POINTER(c_int)),
}


def driver_facts() -> Dict[str, Any]:
    """Return what the driver tells of the first GPU, without making a context.

    Raises:
        DriverFailed: the driver's library cannot be loaded, or a call fails, e.g. without a GPU.
    """
    driver = Driver(_PROTOTYPES, "functions that tell of a GPU")

    def number(name: str, *arguments: Any) -> int:
        found = c_int()
        driver.call(name, byref(found), *arguments)
        return found.value

    driver.call("cuInit", 0)
    device = number("cuDeviceGet", 0)
    name = create_string_buffer(_NAME_BYTES)
    driver.call("cuDeviceGetName", name, _NAME_BYTES, device)
    memory, flags, active = c_size_t(), c_uint(), c_int()
    driver.call("cuDeviceTotalMem_v2", byref(memory), device)
    driver.call("cuDevicePrimaryCtxGetState", device, byref(flags), byref(active))
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
        "scheduling_by_default": schedule_in_words(flags.value),
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
    """Print the facts and return 0: what is missing is reported, and is no failure of this process."""
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
