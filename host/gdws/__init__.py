"""GDWS: efficient, adversarially robust convolutional networks after training.

``gdws.convert(model, gdws.budgets.MeanRank(3))`` turns a pretrained network into a GDWS network and returns it with its
:class:`Plan`. ``gdws.optimize`` finds the fastest one on a device. ``gdws.budgets``, ``gdws.calibrate``,
``gdws.layers``, ``gdws.surgery`` and ``gdws.training`` are the modules behind them; everything else is reached by its
room, such as :mod:`gdws.pipeline`.

torch takes seconds to import, and any import may fail where an installation is broken, so all is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdws import training
    from gdws._util.outputs import choose_output
    from gdws.compression import layers, surgery
    from gdws.compression.calibration import alphas as calibrate
    from gdws.pipeline.optimize import optimize
    from gdws.planning import budget as budgets
    from gdws.planning.conversion import convert
    from gdws_contract.plan import LayerPlan, Plan

__version__ = "0.1.0"
__all__ = [
    "LayerPlan",
    "Plan",
    "__version__",
    "budgets",
    "calibrate",
    "choose_output",
    "convert",
    "layers",
    "optimize",
    "surgery",
    "training",
]

_MODULES = {
    "budgets": "gdws.planning.budget",
    "calibrate": "gdws.compression.calibration.alphas",
    "layers": "gdws.compression.layers",
    "surgery": "gdws.compression.surgery",
    "training": "gdws.training",
}
_HOMES = {
    "LayerPlan": "gdws_contract.plan",
    "Plan": "gdws_contract.plan",
    "choose_output": "gdws._util.outputs",
    "convert": "gdws.planning.conversion",
    "optimize": "gdws.pipeline.optimize",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
