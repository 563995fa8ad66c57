"""A network at the ranks of any plan, its factors fitted to images as data-aware conversion fits them."""

from __future__ import annotations

from torch import Tensor, nn

from gdws.compression import fitting as data_aware
from gdws.compression import surgery
from gdws.compression.fitting.calibration import OBSERVED
from gdws_contract.plan import Plan


def fit_plan(model: nn.Module, plan: Plan, images: Tensor, sweeps: int = 20) -> nn.Module:
    """``model`` with the ranks of ``plan``, whatever chose them, and factors fitted to ``images`` (N, C, H, W)."""
    names = {layer.name for layer in plan.converted}
    layers = [layer for layer in surgery.inspect(model, images[:1]) if layer.name in names]
    seen = data_aware.observe(model, layers, images[:OBSERVED])
    found = data_aware.fit(model, plan, layers, images, seen, sweeps=sweeps)
    return surgery.apply(plan, found.model, factors=found.factors)
