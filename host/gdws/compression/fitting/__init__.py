"""Data-aware GDWS: factors fitted to a network's activations instead of its weights alone."""

from gdws.compression.fitting.calibration import Calibration
from gdws.compression.fitting.fit import Fitted, fit
from gdws.compression.fitting.images import identify
from gdws.compression.fitting.observe import Observation, observe
from gdws.compression.fitting.sensitivity import sensitivities

__all__ = ["Calibration", "Fitted", "Observation", "fit", "identify", "observe", "sensitivities"]
