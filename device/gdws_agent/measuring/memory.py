"""The memory of each network of a group, as if it were alone in the measuring process.

The engines of a group live side by side, so what the process holds is that of all. The kernel keeps the highest
resident memory of a process and lets it be set back to what it is now; this is done around each stage of a network,
and what others hold by then is taken off. Pages of files, which are the code of libraries, are needed whichever
network runs, and are first touched by the first: all of them count for each. Memory that a build gave back is returned
to the system before the next, as far as the C library does that; what a runtime sets up once, and keeps in pools of
its own, counts for the network that came first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

from gdws_agent.backends.base import DeviceMemory
from gdws_contract.memory import Memory

_SELF = Path("/proc/self")
#: Written to clear_refs, this resets the peak; see proc(5).
_RESET_PEAK = b"5"

METHOD = (
    "highest resident memory (VmHWM) from the build to the end of the warm-up, less what the other networks of the "
    "group held; code of libraries counts for each of them, what a runtime sets up once for the first of them"
)
_NO_RESET = "the kernel does not let the peak of resident memory be set back (/proc/self/clear_refs)"
_ON_CPU = "the backend runs on the CPU"
_NOT_TOLD = "the runtime does not tell"


class Resident(NamedTuple):
    """Resident memory now and at its highest, and what of it now is pages of files, in bytes."""

    now: int
    peak: int
    files: int = 0

    @property
    def own(self) -> int:
        """What is not pages of files."""
        return self.now - self.files


class PeakGauge:
    """Reads this process's resident memory; to be made before the process gives up its right to write to /proc."""

    def __init__(self, folder: Path = _SELF) -> None:
        self._status = folder / "status"
        self._reset: Optional[int] = None
        with contextlib.suppress(OSError):
            self._reset = os.open(str(folder / "clear_refs"), os.O_WRONLY | os.O_CLOEXEC)

    @property
    def can_reset(self) -> bool:
        """Whether peaks of single stages can be told apart."""
        return self._reset is not None

    def reset(self) -> None:
        """Reset the peak to the current resident memory."""
        if self._reset is not None:
            try:
                os.write(self._reset, _RESET_PEAK)
            except OSError:
                self._reset = None

    def read(self) -> Optional[Resident]:
        """Return resident memory; None if the kernel does not provide it."""
        try:
            lines = dict(line.split(":", 1) for line in self._status.read_text().splitlines() if ":" in line)
            now, peak = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
            files = int(lines["RssFile"].split()[0]) * 1024
        except (OSError, KeyError, ValueError, IndexError):
            return None
        return Resident(now, peak, files)


class Tally:
    """The memory of one network: what it holds by now, and the most that a process with it alone would have held."""

    def __init__(self, gauge: PeakGauge, base: Optional[Resident]) -> None:
        self._gauge = gauge
        self._base = base
        self._held = 0
        self._peak = 0
        self._is_known = base is not None and gauge.can_reset

    @contextlib.contextmanager
    def stage(self) -> Iterator[None]:
        """Count what is done within as this network's."""
        self._gauge.reset()
        before = self._gauge.read()
        try:
            yield
        finally:
            after = self._gauge.read()
            if before is None or after is None or self._base is None or not self._gauge.can_reset:
                self._is_known = False
            else:
                growth = max(0, after.peak - before.now - max(0, after.files - before.files))
                self._peak = max(self._peak, self._base.own + self._held + growth)
                self._held = max(0, self._held + after.own - before.own)

    def memory(self, on_device: bool, device: Optional[DeviceMemory]) -> Memory:
        """Return the peaks, once all networks of the group have been run.

        ``device`` is what the engine tells, ``on_device`` whether it holds any memory there.
        """
        now = self._gauge.read()
        host = self._peak + now.files if self._is_known and now is not None else None
        reason: Optional[str] = None
        if not on_device:
            total, reason = host, _ON_CPU
        elif device is None:
            total, reason = None, _NOT_TOLD
        else:
            total = None if host is None else host + device.peak_bytes
        return Memory(
            host_peak_bytes=host,
            host_reason=None if host is not None else _NO_RESET,
            host_method=None if host is None else METHOD,
            device_peak_bytes=None if device is None else device.peak_bytes,
            device_reason=reason,
            device_method=None if device is None else device.method,
            total_peak_bytes=total,
        )


def return_freed_memory() -> None:
    """Make the C library return free memory to the system, if it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
