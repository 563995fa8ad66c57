"""The fastest network that a device and accuracy limits allow, found with the device in the loop."""

from __future__ import annotations

from gdws.pipeline.optimize.known_costs import default_folder
from gdws.pipeline.optimize.run import Conversion, Images, Task, Watch, optimize
from gdws.pipeline.optimize.setting import BoardState, Setting, all_power_modes, choose_backend, named_power_mode
from gdws.pipeline.optimize.tuning import Tuning, finetuning_against
from gdws.planning.search.goals import AccuracyLimits, Effort, Goal
from gdws.planning.search.memory import MemoryLimit
from gdws.results.optimisation import Optimisation

__all__ = [
    "AccuracyLimits",
    "BoardState",
    "Conversion",
    "Effort",
    "Goal",
    "Images",
    "MemoryLimit",
    "Optimisation",
    "Setting",
    "Task",
    "Tuning",
    "Watch",
    "all_power_modes",
    "choose_backend",
    "default_folder",
    "finetuning_against",
    "named_power_mode",
    "optimize",
]
