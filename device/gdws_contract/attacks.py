"""An attack on an engine where it runs, by queries alone."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional

from pydantic import Field, field_validator
from typing_extensions import Annotated, Literal

from .base import Name, NonNegative, Reading, Record, Sha256, distinct_items
from .engines import EngineOptions
from .manifest import Attack
from .measures import Proportion
from .queueing import Submission

#: What Square Attack is called in results.
SQUARE = "Square"
#: Of one cell.
MAX_IMAGES = 10_000

AttackNorm = Literal["linf", "l2"]


class AttackOptions(Record):
    """Asks for Square Attack on the engine in place of its times."""

    norm: Optional[AttackNorm] = Field(None, description="null: that of the bundle's adversarial inputs.")
    eps: Optional[float] = Field(
        None,
        gt=0,
        le=1_000,
        allow_inf_nan=False,
        description="Radius for pixels from 0 to 1; null: that of the bundle's adversarial inputs.",
    )
    queries: int = Field(1_000, ge=1, le=1_000_000, description="Perturbed inputs tried for each image, at most.")
    images: Optional[int] = Field(
        None, ge=1, le=MAX_IMAGES, description="Use only the first images of the verification set; null: all."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of the draws of each image, with its index.")


class AttackRequest(Submission):
    """Body of ``POST /attack``: which engines to attack, variants x backends x precisions x batch sizes."""

    model_id: Sha256
    variants: Optional[List[Name]] = Field(None, min_length=1, max_length=64, description="null: all.")
    backends: Optional[List[Name]] = Field(None, min_length=1, max_length=16, description="null: the best available.")
    precisions: List[Name] = Field(default_factory=lambda: ["fp32"], min_length=1, max_length=8)
    batch_sizes: List[Annotated[int, Field(ge=1, le=65_536)]] = Field(
        default_factory=lambda: [1], min_length=1, max_length=32, description="Images attacked side by side."
    )
    options: AttackOptions = Field(default_factory=AttackOptions)
    engine: EngineOptions = Field(default_factory=EngineOptions)
    threads: Optional[int] = Field(None, ge=1, le=1_024, description="CPU threads; null: one per physical core.")
    parity_tolerance: NonNegative = Field(1e-3, description="As that of a benchmark's protocol.")
    label: Optional[str] = Field(None, max_length=200, description="Free text kept with the result.")

    @field_validator("variants", "backends", "precisions", "batch_sizes")
    @classmethod
    def _distinct(cls, values: Optional[List[Any]]) -> Optional[List[Any]]:
        return distinct_items(values)


class AttackedImage(NamedTuple):
    """What became of the image at ``position`` of the verification set; an array in JSON, for there are many.

    ``fooled_after`` is the number of queries after which the engine no longer gave its class: 0 if it did not do so for
    the image as it is, None if it withstood them all. ``finite`` is False where it is fooled because outputs are not;
    ``moved`` tells whether any query changed the margin of its class.
    """

    position: int
    fooled_after: Optional[int]
    finite: bool = True
    moved: bool = True

    @property
    def is_right(self) -> bool:
        """Whether the engine gave its class for the image as it is, and for all that was tried."""
        return self.fooled_after is None


class AttackProgress(Reading):
    """How far the attack on one engine is."""

    images: int = Field(ge=0, description="Images that are done.")
    images_total: int = Field(ge=0)
    correct: int = Field(ge=0, description="Of those done, how many are still classified correctly.")
    queries: int = Field(ge=0, description="Queries so far, for images that are not done too.")
    left_s: Optional[NonNegative] = Field(None, description="Time left for this engine; null: not known yet.")


class AttackResult(Reading):
    """What Square Attack found on one engine. It searches: what it does not fool may be fooled by another attack.

    Accuracies are shares of the images that were attacked, the first of the verification set.
    """

    attack: Attack = Field(description="Its iterations are the queries for each image.")
    natural: Proportion = Field(description="Classified correctly as they are, by the engine.")
    robust: Proportion = Field(
        description="Classified correctly by the engine as they are and under the attack: an upper bound of its robust "
        "accuracy."
    )
    robust_to_both: Optional[Proportion] = Field(
        None, description="Of these, those whose replayed adversarial input it classifies correctly too."
    )
    host: Optional[Proportion] = Field(
        None, description="Classified correctly by the host's network, as they are and as its adversarial inputs."
    )
    queries: int = Field(ge=0, description="Made in all.")
    images: List[AttackedImage] = Field(description="By index.")
    host_wrong: Optional[List[int]] = Field(
        None, description="Images that the host's network gets wrong, in either form; null: not recorded."
    )
