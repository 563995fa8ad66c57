"""Temperature of the die from its power: one thermal resistance and one time constant."""

from __future__ import annotations

import math
from dataclasses import dataclass

AMBIENT_C = 25.0
RESISTANCE_C_PER_W = 1.4
TIME_CONSTANT_S = 25.0


@dataclass
class Die:
    """A first-order thermal model, started at the ambient temperature."""

    temperature_c: float = AMBIENT_C

    def advance(self, power_w: float, interval_s: float) -> float:
        """Hold ``power_w`` for ``interval_s`` and return the temperature reached, in degrees Celsius."""
        settled_c = AMBIENT_C + RESISTANCE_C_PER_W * power_w
        self.temperature_c = settled_c + (self.temperature_c - settled_c) * math.exp(-interval_s / TIME_CONSTANT_S)
        return self.temperature_c
