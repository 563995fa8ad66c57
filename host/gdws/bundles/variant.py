"""A network of a bundle, with the steps that made it from the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from gdws_contract.manifest import HostEvaluation
from gdws_contract.plan import Plan
from gdws_contract.steps import DistillStep, FineTuneStep, Int8Step, PruneStep

#: The default name of the baseline.
BASELINE = "dense"


@dataclass(frozen=True)
class GdwsStep:
    """Convolutions were replaced by GDWS convolutions according to ``plan``."""

    plan: Plan

    def __str__(self) -> str:
        """E.g. ``beta=0.05 with alphas, gather``."""
        plan = self.plan
        budget = plan.constraint if plan.budget is None else f"{plan.constraint}={plan.budget:g}"
        layouts = sorted({layer.layout for layer in plan.converted if layer.layout is not None})
        if plan.calibration is not None:
            budget = f"data-aware, {budget}, fitted to {plan.calibration.images} images"
        return ", ".join([f"{budget} with alphas" if plan.weighted else budget, *(layouts or ["nothing converted"])])


Step = GdwsStep | FineTuneStep | DistillStep | Int8Step | PruneStep

_WORDS: Mapping[type, str] = {
    FineTuneStep: "fine-tuned",
    DistillStep: "distilled",
    Int8Step: "INT8",
    PruneStep: "pruned",
}


@dataclass(frozen=True, eq=False)
class Variant:
    """``module`` is the result of applying ``steps`` in order to the trained network.

    ``evaluation`` is what the host measured on it, see :func:`gdws.bundles.packing.host_evaluation`.
    """

    name: str
    module: nn.Module
    steps: tuple[Step, ...] = ()
    evaluation: HostEvaluation | None = None

    @property
    def plan(self) -> Plan | None:
        """The plan of the last GDWS step; None if there is none."""
        return next((step.plan for step in reversed(self.steps) if isinstance(step, GdwsStep)), None)

    @property
    def is_quantised(self) -> bool:
        """Whether it computes in INT8."""
        return any(isinstance(step, Int8Step) for step in self.steps)

    @property
    def method(self) -> str:
        """How it was made, in a few words."""
        return ", ".join(_WORDS.get(type(step), str(step)) for step in self.steps) or "as trained"
