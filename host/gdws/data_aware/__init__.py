"""GDWS from what a network computes on data, in place of its weights alone."""

from gdws.data_aware.calibration import Calibration
from gdws.data_aware.fit import Fitted, fit
from gdws.data_aware.images import identify
from gdws.data_aware.observe import Observation, observe
from gdws.data_aware.sensitivity import sensitivities

__all__ = ["Calibration", "Fitted", "Observation", "fit", "identify", "observe", "sensitivities"]
