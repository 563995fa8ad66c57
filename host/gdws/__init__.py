"""GDWS: efficient, adversarially robust convolutional networks after training.

``gdws.convert(model, beta=...)`` turns a pretrained network into a GDWS network and returns it with its
:class:`Plan`. Everything else is reached by module: ``gdws.calibrate``, ``gdws.layers``, ``gdws.surgery``.

Plans and algorithms need no torch, and torch takes seconds to import, so what needs it is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gdws.algorithms.plan import LayerPlan, Plan

if TYPE_CHECKING:
    from gdws import calibrate, layers, surgery, training
    from gdws.conversion import convert

__version__ = "0.1.0"
__all__ = ["LayerPlan", "Plan", "__version__", "calibrate", "convert", "layers", "surgery", "training"]


def __getattr__(name: str) -> Any:
    if name == "convert":
        return importlib.import_module("gdws.conversion").convert
    if name in __all__:
        return importlib.import_module(f"gdws.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
