"""The manifest of a bundle: what is in it, and what the host knows about each part.

History of the schema:
    1   first version.
    2   tasks other than classification, several outputs, variants made in steps, metrics, images without labels.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Tuple

from pydantic import FailFast, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated, Literal

from . import manifest_v1
from .attack_check import AttackCheck
from .base import Name, NonNegative, Record, Sha256
from .measures import Metric, Proportion
from .optimisation import Optimisation
from .steps import GdwsStep, LayerSummary, Step
from .task import Classification, Task

SCHEMA_VERSION = 2
#: The schemas that are read; all but the last are upgraded as they come in.
READABLE_VERSIONS = (1, 2)
MANIFEST_NAME = "manifest.json"
MAX_VARIANTS = 64
MAX_OUTPUTS = 64

NATURAL_ACCURACY = "natural_accuracy"
ROBUST_ACCURACY = "robust_accuracy"

#: Of an input or output of an ONNX graph.
TensorName = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]

#: Where images and labels come from: images labelled by people; real images, labelled by the baseline if at all;
#: noise. On noise nothing can be said of accuracy.
Origin = Literal["labelled", "network", "noise"]


def _fault(field: str, message: str) -> PydanticCustomError:
    """Return the error of a check that spans fields; ``field`` is the path of the culprit."""
    return PydanticCustomError("inconsistent", "{message}", {"field": field, "message": message})


class TensorSpec(Record):
    """The input of the network; the batch axis is dynamic and not in ``shape``."""

    name: TensorName
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


class OutputSpec(Record):
    """An output of the network; the batch axis is dynamic and not in ``shape``."""

    name: TensorName
    dtype: Literal["float32", "float16", "int64", "int32", "uint8", "bool"] = "float32"
    shape: List[int] = Field(max_length=8, description="Without the batch axis, e.g. [10]; empty for one number.")

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: List[int]) -> List[int]:
        if any(not 0 < axis <= 2**24 for axis in shape):
            raise ValueError("each axis must be between 1 and 16777216")
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
    parts: Optional[List[Attack]] = Field(
        None, max_length=16, description="The parts of a union: an image must resist all of them."
    )

    @model_validator(mode="after")
    def _bounded(self) -> Attack:
        if (self.eps is None) != bool(self.parts):
            raise ValueError("an attack has a radius eps, or parts that have their own")
        return self


class HostEvaluation(Record):
    """What the host measured on its test images, on this variant; attacks are white-box.

    Classifiers have the metrics ``natural_accuracy`` and, under ``attack``, ``robust_accuracy``. Labels by the
    baseline make the first its agreement with the baseline.
    """

    data: str = Field(description="The images.")
    origin: Origin
    metrics: Dict[Name, Metric] = Field(default_factory=dict, max_length=100)
    classes_answered: Optional[int] = Field(
        None, ge=1, description="How many classes a classifier predicts for the images; null: not counted."
    )
    attack: Optional[Attack] = None
    attack_check: Optional[AttackCheck] = Field(
        None, description="Whether the robust accuracy can be trusted; its findings are already included in the metric."
    )

    @model_validator(mode="after")
    def _attack_named(self) -> HostEvaluation:
        if ROBUST_ACCURACY in self.metrics and self.attack is None:
            raise ValueError("robust accuracy without the attack that it was measured under")
        return self

    @property
    def natural(self) -> Optional[Proportion]:
        """Accuracy on the images as they are; None if it was not measured."""
        return self._proportion(NATURAL_ACCURACY)

    @property
    def robust(self) -> Optional[Proportion]:
        """Accuracy under ``attack``; None if it was not measured."""
        return self._proportion(ROBUST_ACCURACY)

    def _proportion(self, name: str) -> Optional[Proportion]:
        found = self.metrics.get(name)
        return found if isinstance(found, Proportion) else None


class Variant(Record):
    """One network of the bundle as ONNX; members are paths inside the archive.

    Expected outputs are those of the host, one .npy file for each output of the manifest, in its order.
    """

    name: Name
    role: Literal["baseline", "converted"]
    onnx: str
    opset: int = Field(ge=7, le=17)
    macs: Optional[int] = Field(None, ge=0, description="Per image.")
    parameters: Optional[int] = Field(None, ge=0)
    method: Optional[str] = Field(None, description="How it was made, in words, e.g. 'beta=0.05, gather'.")
    steps: List[Step] = Field(default_factory=list, max_length=32, description="The steps applied to the baseline.")
    evaluation: Optional[HostEvaluation] = None
    outputs: List[str] = Field(
        min_length=1, max_length=MAX_OUTPUTS, description="Expected on verification.inputs, (N, ...) .npy each."
    )
    adversarial_inputs: Optional[str] = Field(None, description="Made white-box on this variant, (N, ...) .npy.")
    adversarial_outputs: List[str] = Field(default_factory=list, max_length=MAX_OUTPUTS)

    @model_validator(mode="after")
    def _adversarial_pair(self) -> Variant:
        if (self.adversarial_inputs is None) == bool(self.adversarial_outputs):
            raise ValueError("adversarial_inputs and adversarial_outputs go together")
        return self

    @property
    def plan(self) -> Optional[str]:
        """The member with the plan of the last GDWS step; None if there is none."""
        return next((step.plan for step in reversed(self.steps) if isinstance(step, GdwsStep)), None)

    @property
    def is_quantised(self) -> bool:
        """Whether the ONNX file itself says where it computes in INT8."""
        return any(step.kind == "int8" for step in self.steps)

    @property
    def layers(self) -> List[LayerSummary]:
        """The layers of the last GDWS step."""
        return next((step.layers for step in reversed(self.steps) if isinstance(step, GdwsStep)), [])

    def members(self) -> List[Tuple[str, str]]:
        """Return (field, member path) of everything that this variant points to."""
        return list(self._members())

    def relocated(self, folder: str) -> Tuple[Variant, Dict[str, str]]:
        """Return the variant with its members below ``folder``, called by what they are, and {new path: old path}."""
        moved = {path: f"{folder}/{_file_name(field)}" for field, path in self._members()}
        steps = [
            step.model_copy(update={"plan": moved[step.plan]}) if isinstance(step, GdwsStep) and step.plan else step
            for step in self.steps
        ]
        adversarial = None if self.adversarial_inputs is None else moved[self.adversarial_inputs]
        variant = self.model_copy(
            update={
                "onnx": moved[self.onnx],
                "steps": steps,
                "outputs": [moved[path] for path in self.outputs],
                "adversarial_inputs": adversarial,
                "adversarial_outputs": [moved[path] for path in self.adversarial_outputs],
            }
        )
        return variant, {new: old for old, new in moved.items()}

    def _members(self) -> Iterator[Tuple[str, str]]:
        yield "onnx", self.onnx
        for index, step in enumerate(self.steps):
            if isinstance(step, GdwsStep) and step.plan is not None:
                yield f"steps[{index}].plan", step.plan
        for index, path in enumerate(self.outputs):
            yield f"outputs[{index}]", path
        if self.adversarial_inputs is not None:
            yield "adversarial_inputs", self.adversarial_inputs
        for index, path in enumerate(self.adversarial_outputs):
            yield f"adversarial_outputs[{index}]", path


class Verification(Record):
    """Inputs with known outputs that every engine replays before it is timed."""

    inputs: str = Field(description="(N, ...) .npy of the input's dtype.")
    labels: Optional[str] = Field(None, description="The classes, (N,) int64 .npy; null: there are none.")
    count: int = Field(gt=0)
    data: str = Field(description="Where the images come from.")
    origin: Origin
    attack: Optional[Attack] = None

    @model_validator(mode="after")
    def _labels_exist(self) -> Verification:
        if self.origin == "labelled" and self.labels is None:
            raise ValueError("images whose origin is 'labelled' need labels")
        return self


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

    schema_version: Literal[2] = 2
    tool: Tool
    name: Name
    description: Optional[str] = None
    task: Task
    input: TensorSpec
    outputs: List[OutputSpec] = Field(min_length=1, max_length=MAX_OUTPUTS)
    baseline: Name
    variants: Annotated[List[Variant], FailFast()] = Field(min_length=1, max_length=MAX_VARIANTS)
    verification: Verification
    provenance: Dict[str, Any] = Field(default_factory=dict, description="Free-form: checkpoint hash, versions, seeds.")
    threads: Optional[int] = Field(
        None, ge=1, le=1_024, description="CPU threads that its networks were planned for; null: not planned."
    )
    optimisation: Optional[Optimisation] = Field(
        None, description="The search that its networks were planned by, as the host tells it; null: there was none."
    )
    members: Dict[str, Member]

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, document: Any) -> Any:
        is_first = isinstance(document, dict) and document.get("schema_version") == 1
        return manifest_v1.upgrade(document) if is_first else document

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        self._check_outputs()
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

    def _check_outputs(self) -> None:
        names = [output.name for output in self.outputs]
        if len(set(names)) != len(names):
            raise _fault("outputs", "the names of outputs must differ")
        if isinstance(self.task, Classification):
            self._check_classes(self.task)
        for index, variant in enumerate(self.variants):
            for field in ("outputs", "adversarial_outputs"):
                count = len(getattr(variant, field))
                if count != len(names) and (count or field == "outputs"):
                    raise _fault(f"variants[{index}].{field}", f"names {count} files for {len(names)} outputs")

    def _check_classes(self, task: Classification) -> None:
        if [len(output.shape) for output in self.outputs] != [1]:
            raise _fault("outputs", "a classifier has one output, whose shape is the number of classes alone")
        if task.classes is not None and len(task.classes) != self.classes:
            raise _fault("task.classes", f"names {len(task.classes)} classes of {self.classes}")

    @property
    def classes(self) -> Optional[int]:
        """How many classes a classifier has; None for any other network."""
        return self.outputs[0].shape[0] if isinstance(self.task, Classification) else None

    def pointers(self) -> List[Tuple[str, str]]:
        """Return (field path, member path) of every member that a field points to."""
        found = [("verification.inputs", self.verification.inputs)]
        if self.verification.labels is not None:
            found.append(("verification.labels", self.verification.labels))
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


def _file_name(field: str) -> str:
    """Return what the member that ``field`` of a variant points to is called: ``outputs[0]`` as ``outputs.0.npy``."""
    if field == "onnx":
        return "model.onnx"
    name = field.replace("[", ".").replace("]", "")
    return f"{name}.json" if name.endswith("plan") else f"{name}.npy"
