"""A variant during a sweep: its findings and its live engine."""

from __future__ import annotations

import logging
from typing import Callable, Optional, cast

import numpy as np

from gdws_agent.backends.base import (
    DeviceMemory,
    DeviceTimer,
    DeviceTimes,
    Engine,
    LayerProfiler,
    MemoryTeller,
    Step,
)
from gdws_agent.backends.registry import names_with
from gdws_agent.errors import ProfileUnsupported

from .attacking import Replays
from .memory import Tally
from .results import Findings

_LOG = logging.getLogger(__name__)


class Candidate:
    """Owns an engine from :meth:`take` to :meth:`free`; ``ended`` once its cell was told."""

    def __init__(self, findings: Findings, tally: Tally) -> None:
        self.findings = findings
        self.tally = tally
        self.ended = False
        #: What the replay of recorded inputs brought, for attacks.
        self.replays: Optional[Replays] = None
        self._engine: Optional[Engine] = None
        self._step: Optional[Step] = None

    @property
    def variant(self) -> str:
        """The name of the variant."""
        return self.findings.key.variant

    @property
    def engine(self) -> Engine:
        """The engine; valid between :meth:`take` and :meth:`free`."""
        assert self._engine is not None
        return self._engine

    @property
    def step(self) -> Step:
        """The step that is timed; valid after :meth:`bind`."""
        assert self._step is not None
        return self._step

    @property
    def device_times(self) -> Optional[Callable[[], DeviceTimes]]:
        """The function that returns the last step's times by the device's clock, if the runtime has it."""
        if not self.engine.capabilities.device_times:
            return None
        return cast(DeviceTimer, self.engine).device_times

    def device_memory(self) -> Optional[DeviceMemory]:
        """Return the device memory reported by the runtime; None if it does not report it."""
        if not self.engine.capabilities.device_memory:
            return None
        return cast(MemoryTeller, self.engine).device_memory()

    def profiler(self, backend: str) -> LayerProfiler:
        """What times single layers; ``backend`` is named in the error.

        Raises:
            ProfileUnsupported: the runtime cannot.
        """
        if not self.engine.capabilities.layer_profiles:
            others = ", ".join(names_with(lambda capabilities: capabilities.layer_profiles))
            raise ProfileUnsupported(f"backend {backend!r} cannot time single layers", hint=f"these can: {others}")
        return cast(LayerProfiler, self.engine)

    def take(self, engine: Engine) -> None:
        """Own ``engine`` from now on."""
        self._engine = engine.__enter__()

    def bind(self, inputs: np.ndarray) -> None:
        """Make the step that will be timed."""
        self._step = self.engine.bind(inputs)

    def free(self) -> None:
        """Release step and engine, to free memory for the others."""
        engine, self._engine, self._step = self._engine, None, None
        if engine is not None:
            try:
                engine.__exit__(None, None, None)
            except Exception:  # what was measured is good, and the others go on
                _LOG.exception("the engine of %s could not be freed", self.variant)
