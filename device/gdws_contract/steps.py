"""The steps that make a variant from the baseline."""

from __future__ import annotations

from typing import List, Optional, Union

from pydantic import FailFast, Field
from typing_extensions import Annotated, Literal

from .base import Fraction, NonNegative, Record


class LayerSummary(Record):
    """One layer as the report shows it; the plan member has the ranks in full."""

    name: str
    converted: bool
    reason: Optional[str] = Field(None, description="Why it was not converted.")
    shape: List[int] = Field(description="Weight shape (M, C, Kh, Kw).")
    layout: Optional[str] = None
    total_rank: Optional[int] = Field(None, ge=0, description="G, the sum of the ranks g.")
    mean_rank: Optional[NonNegative] = Field(None, description="G / C.")
    macs_before: Optional[int] = Field(None, ge=0)
    macs_after: Optional[int] = Field(None, ge=0)
    parameters_before: int = Field(ge=0)
    parameters_after: int = Field(ge=0)
    error: Optional[NonNegative] = Field(None, description="Weighted squared error e^2, Eq. (5).")


class GdwsStep(Record):
    """Convolutions were replaced by GDWS convolutions."""

    kind: Literal["gdws"] = "gdws"
    plan: Optional[str] = Field(None, description="Member with the plan, see gdws_contract.plan.")
    method: Optional[str] = Field(
        None,
        max_length=100,
        description="The method of computing the factors, e.g. 'weights' or 'data-aware'; null: not known.",
    )
    layers: Annotated[List[LayerSummary], FailFast()] = Field(default_factory=list, max_length=10_000)


class FineTuneStep(Record):
    """All weights were trained further on labelled images."""

    kind: Literal["fine-tune"] = "fine-tune"
    epochs: Optional[int] = Field(None, ge=0)
    data: Optional[str] = Field(None, description="The images.")


class DistillStep(Record):
    """The weights were trained to reproduce the outputs of the baseline."""

    kind: Literal["distill"] = "distill"
    steps: Optional[int] = Field(None, ge=0, description="Updates of the weights.")
    data: Optional[str] = Field(None, description="The images; they need no labels.")


class Int8Step(Record):
    """QuantizeLinear and DequantizeLinear nodes were inserted."""

    kind: Literal["int8"] = "int8"
    calibration_images: Optional[int] = Field(None, ge=0, description="Number of images for calibrating the ranges.")
    method: Optional[str] = Field(None, max_length=100, description="How ranges were chosen, e.g. 'entropy'.")
    skipped: List[str] = Field(default_factory=list, max_length=10_000, description="Layers kept in floating point.")


class PruneStep(Record):
    """Channels or weights were removed."""

    kind: Literal["prune"] = "prune"
    method: Optional[str] = Field(None, max_length=100, description="What was removed and by which criterion.")
    remaining: Optional[Fraction] = Field(None, description="Remaining fraction of the parameters.")


Step = Annotated[Union[GdwsStep, FineTuneStep, DistillStep, Int8Step, PruneStep], Field(discriminator="kind")]
