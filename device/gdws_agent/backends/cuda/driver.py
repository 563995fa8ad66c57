"""Functions of the CUDA driver that pycuda and torch do not expose, called directly.

They are those of CUDA 11.4 and later, JetPack 5 among it.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int
from typing import Any, Mapping, Tuple

_LIBRARY = "libcuda.so.1"
_ERROR_NAME = {"cuGetErrorName": (c_int, POINTER(c_char_p))}


class DriverFailed(Exception):
    """The driver is missing, lacks a function, or a call failed."""


def load_driver(name: str) -> Any:
    """Return the CUDA driver's library. It is loaded already wherever CUDA runs."""
    return ctypes.CDLL(name)


class Driver:
    """The driver's functions of ``prototypes``, name -> types of the parameters; each returns a CUresult.

    ``purpose`` describes what they are for. Raises DriverFailed if one of them does not exist.
    """

    def __init__(self, prototypes: Mapping[str, Tuple[Any, ...]], purpose: str) -> None:
        known = {**prototypes, **_ERROR_NAME}
        try:
            library = load_driver(_LIBRARY)
            self._functions = {name: getattr(library, name) for name in known}
        except (OSError, AttributeError) as error:
            raise DriverFailed(f"the CUDA driver has no {purpose}: {error}") from error
        for name, function in self._functions.items():
            function.argtypes = known[name]
            function.restype = c_int

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            DriverFailed: the call failed.
        """
        result = self.try_call(name, *arguments)
        if result != 0:
            raise DriverFailed(f"{name} failed: {self._error_name(result)}")

    def try_call(self, name: str, *arguments: Any) -> int:
        """Call a function and return its CUresult, 0 where it succeeded."""
        return int(self._functions[name](*arguments))

    def _error_name(self, result: int) -> str:
        name = c_char_p()
        if self.try_call("cuGetErrorName", result, byref(name)) == 0 and name.value:
            return name.value.decode()
        return f"CUDA error {result}"
