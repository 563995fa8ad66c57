"""The manifest of a bundle: what is in it, and what the host knows about each part.

History of the schema:
    1   first version.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Optional, Tuple

from pydantic import (
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated, Literal

from .attack_check import AttackCheck
from .base import Name, NonNegative, Record, Sha256
from .measures import Proportion

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
MAX_VARIANTS = 64


def _fault(field: str, message: str) -> PydanticCustomError:
    """Return the error of a check that spans fields; ``field`` is the path of the culprit."""
    return PydanticCustomError("inconsistent", "{message}", {"field": field, "message": message})


class TensorSpec(Record):
    """One input or output of the network; the batch axis is dynamic and not in ``shape``."""

    name: Name
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    shape: List[int] = Field(min_length=1, max_length=8, description="Without the batch axis, e.g. [3, 32, 32].")
    low: Optional[float] = Field(None, description="Smallest legal value, e.g. 0 for pixels.")
    high: Optional[float] = None

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: List[int]) -> List[int]:
        if any(not 0 < axis <= 65_536 for axis in shape):
            raise ValueError("each axis must be between 1 and 65536")
        return shape


class Attack(Record):
    """How adversarial inputs were made; perturbations live in pixel space.

    A union has ``parts`` with radii of their own, and no ``eps``.
    """

    name: str
    norm: str
    eps: Optional[NonNegative] = None
    step: Optional[NonNegative] = None
    iterations: Optional[int] = Field(None, ge=0)
    restarts: int = Field(1, ge=1)
    random_start: bool = True
    seed: Optional[int] = None
    parts: Optional[List[Attack]] = Field(None, max_length=16, description="Of a union: an image must resist them all.")

    @model_validator(mode="after")
    def _bounded(self) -> Attack:
        if (self.eps is None) != bool(self.parts):
            raise ValueError("an attack has a radius eps, or parts that have their own")
        return self


class HostEvaluation(Record):
    """What the host measured on its test images, on this variant, white-box."""

    data: str
    natural: Optional[Proportion] = None
    robust: Optional[Proportion] = None
    attack: Optional[Attack] = None
    attack_check: Optional[AttackCheck] = Field(
        None, description="Whether the robust accuracy is to be trusted; what it tells counts in ``robust`` already."
    )

    @model_serializer(mode="wrap")
    def _without_empty_check(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        """Leave the check out where there is none: readers of before it was added refuse the field.

        It states no type to return, which would take the place of the fields in the JSON schema.
        """
        fields: Dict[str, Any] = handler(self)
        if fields.get("attack_check", ...) is None:
            del fields["attack_check"]
        return fields

    @model_validator(mode="after")
    def _attack_named(self) -> HostEvaluation:
        if self.robust is not None and self.attack is None:
            raise ValueError("robust accuracy without the attack that it was measured under")
        return self


class LayerSummary(Record):
    """One layer as the report shows it; the plan member has the ranks in full."""

    name: str
    converted: bool
    reason: Optional[str] = Field(None, description="Why it was left alone.")
    shape: List[int] = Field(description="Weight shape (M, C, Kh, Kw).")
    layout: Optional[str] = None
    total_rank: Optional[int] = Field(None, ge=0, description="G, the sum of the ranks g.")
    mean_rank: Optional[NonNegative] = Field(None, description="G / C.")
    macs_before: Optional[int] = Field(None, ge=0)
    macs_after: Optional[int] = Field(None, ge=0)
    parameters_before: int = Field(ge=0)
    parameters_after: int = Field(ge=0)
    error: Optional[NonNegative] = Field(None, description="Weighted squared error e^2, Eq. (5).")


class Variant(Record):
    """One network of the bundle as ONNX; members are paths inside the archive."""

    name: Name
    role: Literal["baseline", "gdws"]
    onnx: str
    opset: int = Field(ge=7, le=17)
    macs: Optional[int] = Field(None, ge=0, description="Per image.")
    parameters: Optional[int] = Field(None, ge=0)
    method: Optional[str] = Field(None, description="How it was converted, e.g. 'beta=0.05, gather'.")
    plan: Optional[str] = None
    layers: Annotated[List[LayerSummary], FailFast()] = Field(default_factory=list, max_length=10_000)
    evaluation: Optional[HostEvaluation] = None
    logits: str = Field(description="Host logits on verification.inputs, (N, classes) float32 .npy.")
    adversarial_inputs: Optional[str] = Field(None, description="Made white-box on this variant, (N, ...) .npy.")
    adversarial_logits: Optional[str] = None

    @model_validator(mode="after")
    def _adversarial_pair(self) -> Variant:
        if (self.adversarial_inputs is None) != (self.adversarial_logits is None):
            raise ValueError("adversarial_inputs and adversarial_logits go together")
        return self

    def members(self) -> List[Tuple[str, str]]:
        """Return (field, member path) of everything that this variant points to."""
        fields = ("onnx", "plan", "logits", "adversarial_inputs", "adversarial_logits")
        return [(field, getattr(self, field)) for field in fields if getattr(self, field) is not None]


class Verification(Record):
    """Inputs with known answers that every engine replays before it is timed."""

    inputs: str = Field(description="(N, ...) .npy of the input's dtype.")
    labels: str = Field(description="(N,) int64 .npy.")
    count: int = Field(gt=0)
    data: str = Field(description="Where the images come from.")
    attack: Optional[Attack] = None


class Member(Record):
    """Size and hash of one file of the archive."""

    size: int = Field(ge=0)
    sha256: Sha256


class Tool(Record):
    """What wrote the bundle."""

    name: str
    version: str


class Manifest(Record):
    """The whole bundle; see the fields of its parts.

    There is no date in it: packing the same content twice gives the same bytes and the same id.
    """

    schema_version: Literal[1] = 1
    tool: Tool
    name: Name
    description: Optional[str] = None
    input: TensorSpec
    output: TensorSpec
    baseline: Name
    variants: Annotated[List[Variant], FailFast()] = Field(min_length=1, max_length=MAX_VARIANTS)
    verification: Verification
    provenance: Dict[str, Any] = Field(default_factory=dict, description="Free-form: checkpoint hash, versions, seeds.")
    members: Dict[str, Member]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise _fault("variants", "variant names must differ")
        baselines = [variant.name for variant in self.variants if variant.role == "baseline"]
        if baselines != [self.baseline]:
            raise _fault("baseline", f"exactly one variant, {self.baseline!r}, must have the role 'baseline'")
        for field, path in self.pointers():
            if path not in self.members:
                raise _fault(field, f"points to {path!r}, which members does not list")
        return self

    def pointers(self) -> List[Tuple[str, str]]:
        """Return (field path, member path) of every member that a field points to."""
        found = [
            ("verification.inputs", self.verification.inputs),
            ("verification.labels", self.verification.labels),
        ]
        for index, variant in enumerate(self.variants):
            found += [(f"variants[{index}].{field}", path) for field, path in variant.members()]
        return found

    def networks(self) -> FrozenSet[str]:
        """Return the members that are ONNX files."""
        return frozenset(variant.onnx for variant in self.variants)

    def variant(self, name: str) -> Variant:
        """Return the variant called ``name``.

        Raises:
            KeyError: there is none.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)
