"""Plans: which layers become GDWS, with their ranks, layouts and costs.

A plan is a value. It is made from weights alone, needs no framework, and can be stored, compared and printed.

History of the JSON format (``format`` is ``"gdws.plan"``):

- version 1: per layer the ranks, the layout and the weighted error, or why it is left alone.
- version 2: the images that factors were fitted to, and which layers get a bias by it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple, Union

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Annotated, Literal, get_args

from .base import NonNegative
from .costs import size_mib
from .errors import PlanFormatError
from .layer_plan import LAYOUTS, PLAIN, Count, LayerPlan, Layout, Totals, inconsistent
from .parsing import first_fault
from .plan_table import table

__all__ = [
    "LAYOUTS",
    "METHODS",
    "CalibrationSet",
    "Constraint",
    "LayerPlan",
    "Layout",
    "Method",
    "Plan",
    "PlanFormatError",
    "Totals",
]

FORMAT = "gdws.plan"
VERSION = 2
_READABLE = (1, 2)

#: What set the ranks: the kind of a budget, or the ranks were given. Kinds are the host's: a plan of a later release,
#: with a kind of its own, is read all the same.
Constraint = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]

#: How factors are found: from weights alone, as published, or fitted to what the network computes on data.
Method = Literal["weights", "data-aware"]
METHODS: Tuple[str, ...] = get_args(Method)


@dataclass(frozen=True, config=PLAIN)
class CalibrationSet:
    """The images that factors were fitted to: how many, and the SHA-256 of their shape and values."""

    images: Count
    sha256: str


@dataclass(frozen=True, config=PLAIN)
class Plan:
    """The plan of a network.

    ``constraint`` and ``budget`` say what set the ranks; ``budget`` is the value of that constraint, None for ranks
    that were given. ``weighted`` tells whether alphas were used. ``calibration`` names the images that the factors were
    fitted to; None for the paper's method, which looks at weights alone. ``input_shape`` is the shape of one sample
    with which MACs were counted, or None. ``other_parameters`` counts the parameters that belong to no listed layer.
    """

    layers: Tuple[LayerPlan, ...]
    constraint: Constraint = "given"
    budget: Optional[NonNegative] = None
    weighted: bool = False
    input_shape: Optional[Tuple[Count, ...]] = None
    other_parameters: Count = 0
    calibration: Optional[CalibrationSet] = None

    @model_validator(mode="after")
    def _names_differ(self) -> Plan:
        names: Set[str] = set()
        for index, layer in enumerate(self.layers):
            if layer.name in names:
                raise inconsistent(f"layers[{index}].name", f"a second layer named {layer.name!r}")
            names.add(layer.name)
        return self

    @property
    def method(self) -> Method:
        """The method by which factors are computed."""
        return "weights" if self.calibration is None else "data-aware"

    @property
    def converted(self) -> Tuple[LayerPlan, ...]:
        """The layers that become GDWS."""
        return tuple(layer for layer in self.layers if layer.converted)

    @property
    def totals(self) -> Totals:
        """Sums over the whole network."""
        return Totals(
            layers=len(self.layers),
            converted=len(self.converted),
            macs_dense=_sum_known(layer.macs_dense for layer in self.layers),
            macs_gdws=_sum_known(layer.macs_gdws for layer in self.layers),
            parameters_dense=self.other_parameters + sum(layer.parameters_dense for layer in self.layers),
            parameters_gdws=self.other_parameters + sum(layer.parameters_gdws for layer in self.layers),
            e2=math.fsum(layer.e2 for layer in self.layers if layer.e2 is not None and layer.shares is None),
        )

    def to_dict(self) -> Dict[str, Any]:
        """Return the plan as JSON-ready values."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """Return the plan as JSON text, one line for each layer."""
        content = self.to_dict()
        layers = ",\n".join("    " + json.dumps(layer) for layer in content.pop("layers"))
        head = json.dumps(content, indent=2)[:-2]
        return f'{head},\n  "layers": [\n{layers}\n  ]\n}}\n'

    @classmethod
    def from_dict(cls, content: Any) -> Plan:
        """Return the plan of :meth:`to_dict`.

        Raises:
            PlanFormatError: naming the field that is at fault.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise PlanFormatError(f'not a plan: expected an object with "format": "{FORMAT}"', field="format")
        if content.get("version") not in _READABLE:
            known = " or ".join(map(str, _READABLE))
            raise PlanFormatError(f"expected {known}, got {content.get('version')!r}", field="version")
        body = {name: value for name, value in content.items() if name not in ("format", "version")}
        try:
            # As JSON, in which an array is a tuple but a number in quotes is no number.
            return TypeAdapter(cls).validate_json(json.dumps(body), strict=True)
        except ValidationError as error:
            field, problem = first_fault(error)
            raise PlanFormatError(problem, field=field or None) from error

    @classmethod
    def from_json(cls, text: Union[str, bytes]) -> Plan:
        """Return the plan of :meth:`to_json`.

        Raises:
            PlanFormatError: naming the field that is at fault.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanFormatError(f"not JSON: {error}") from error
        return cls.from_dict(content)

    def __str__(self) -> str:
        """Return a table: one row for each layer, then the totals and what set the ranks."""
        return table(self.layers, self.totals, self._notes())

    def _notes(self) -> List[str]:
        totals = self.totals
        dense, gdws = totals.parameters_dense, totals.parameters_gdws
        notes = [f"size of the parameters in float32: {size_mib(dense):.2f} MiB before, {size_mib(gdws):.2f} MiB after"]
        if self.constraint == "given":
            notes.append("ranks: given")
        else:
            weights = "with alphas" if self.weighted else "without alphas"
            if self.calibration is not None:
                weights = f"data-aware, fitted to {self.calibration.images} images"
            notes.append(f"ranks: {self.constraint} = {self.budget:g}, {weights}")
        if self.input_shape is not None:
            notes.append(f"MACs: of one sample of shape {'×'.join(map(str, self.input_shape))}")
        elif totals.macs_dense is None:
            notes.append("MACs: unknown without an example input")
        if not self.converted:
            notes.append("no layer can be converted; the reasons are in the table")
        return notes


def _sum_known(values: Iterable[Optional[int]]) -> Optional[int]:
    """The sum, or None if any part is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
