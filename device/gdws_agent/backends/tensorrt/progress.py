"""Ends a build that takes too long, where TensorRT reports its progress: 10 and later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from gdws_agent.errors import BuildFailed

if TYPE_CHECKING:
    from tensorrt import IProgressMonitor


class Deadline:
    """``limit_s`` seconds from now."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._end = clock() + limit_s
        self.enforced = False

    def has_passed(self) -> bool:
        """Return whether the time is over, and remember that it was said."""
        passed = self._clock() > self._end
        self.enforced = self.enforced or passed
        return passed

    def error(self) -> BuildFailed:
        """Return the error for the build that was cancelled."""
        return BuildFailed(
            f"the build was stopped after {self.limit_s:g} s",
            hint="raise build_timeout_s, lower optimization_level, or build on an idle machine at its full clocks",
        )


def monitor(trt: Any, deadline: Deadline) -> Optional[IProgressMonitor]:
    """Return the monitor that TensorRT asks between two steps of a build whether to continue; None if it has none."""
    if not can_end_builds(trt):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # its base is known at run time alone
        """TensorRT calls it from several threads; it only reads the clock."""

        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: Optional[str], num_steps: int) -> None:
            """Nothing is shown."""

        def phase_finish(self, phase_name: str) -> None:
            """Nothing is shown."""

        def step_complete(self, phase_name: str, step: int) -> bool:
            return not deadline.has_passed()

    made: IProgressMonitor = Monitor()
    return made


def can_end_builds(trt: Any) -> bool:
    """Return whether a build can be cancelled in this release."""
    return hasattr(trt, "IProgressMonitor") and hasattr(trt.IBuilderConfig, "progress_monitor")


def timeout_in_words(trt: Any, limit_s: float) -> str:
    """Return how the time limit of a build is enforced."""
    if can_end_builds(trt):
        return f"build_timeout_s={limit_s:g}"
    return f"build_timeout_s=not kept by TensorRT {trt.__version__}, which cannot end a build; the agent's limit holds"
