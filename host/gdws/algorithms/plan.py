"""A plan: which layers become GDWS, with which ranks and layout, and what that costs.

A plan is a value. It is made from weights alone, needs no framework, and can be stored, compared and printed.

History of the JSON format (``format`` is ``"gdws.plan"``):

- version 1: per layer the ranks, the layout and the weighted error, or why it is left alone.
- version 2: the images that factors were fitted to, and which layers get a bias by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from gdws.algorithms import json_fields as read
from gdws.algorithms.cost import dense_weights, gdws_weights
from gdws.algorithms.json_fields import PlanFormatError
from gdws.algorithms.plan_table import table

FORMAT = "gdws.plan"
VERSION = 2
_READABLE = (1, 2)

#: How a GDWS layer runs. ``gather``: input channels are repeated g_c times, then one depthwise convolution;
#: any ranks. ``stacked``: g depthwise convolutions side by side; equal ranks. ``grouped``: one grouped
#: convolution with channel multiplier g; equal ranks. A pointwise convolution follows in each.
Layout = Literal["gather", "stacked", "grouped"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

#: What set the ranks: a bound on e^2, a bound on G or a mean rank G/C of each layer by itself; over the whole network a
#: bound on the sum of e^2, or how many times fewer MACs; one rank for every channel of every layer; or the ranks were
#: given.
Constraint = Literal["beta", "gamma", "mean_rank", "budget", "mac_saving", "equal_rank", "given"]
CONSTRAINTS: tuple[str, ...] = get_args(Constraint)


#: How factors are found: from weights alone, as published, or fitted to what the network computes on data.
Method = Literal["weights", "data-aware"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class LayerPlan:
    """What becomes of one layer.

    A layer is either converted (``ranks``, ``layout``, ``e2`` and ``energy`` are set) or left alone
    (``left_alone`` says why). ``weight_shape`` is (M, C, Kh, Kw) for a convolution to convert and the shape
    of the weight as stored otherwise. ``parameters_dense`` counts what the layer itself holds, so it is 0
    where ``shares`` names an earlier layer that holds the same weight. ``grids`` has the (height, width) of
    the places where the weight is applied, one for each call in a forward pass of one sample: the output
    size of a convolution, the input size of a transposed one, (rows, 1) for a linear layer; None if
    unknown. ``e2`` is the weighted squared error of Equation 5 and ``energy`` its value at G = 0, that is
    sum_c alpha_c ||W_c||_F^2. ``bias_added`` tells that the converted layer has a bias where the layer had none.
    Raises :class:`PlanFormatError` if the fields contradict each other.
    """

    name: str
    kind: str
    weight_shape: tuple[int, ...]
    parameters_dense: int
    grids: tuple[tuple[int, int], ...] | None = None
    shares: str | None = None
    ranks: tuple[int, ...] | None = None
    layout: str | None = None
    e2: float | None = None
    energy: float | None = None
    left_alone: str | None = None
    bias_added: bool = False

    def __post_init__(self) -> None:
        if self.left_alone is not None:
            for name in ("ranks", "layout", "e2", "energy"):
                if getattr(self, name) is not None:
                    raise PlanFormatError(name, "must be absent, as the layer is left alone")
            return
        for name in ("ranks", "layout", "e2", "energy"):
            if getattr(self, name) is None:
                raise PlanFormatError(name, "missing, and left_alone gives no reason")
        self._check_ranks()

    def _check_ranks(self) -> None:
        assert self.ranks is not None
        if len(self.weight_shape) != 4 or 0 in self.weight_shape:
            raise PlanFormatError("weight_shape", "a layer with ranks needs (M, C, Kh, Kw), none of them 0")
        M, C, Kh, Kw = self.weight_shape
        if len(self.ranks) != C:
            raise PlanFormatError("ranks", f"expected {C} ranks, one per input channel, got {len(self.ranks)}")
        for index, rank in enumerate(self.ranks):
            if not 0 <= rank <= min(M, Kh * Kw):
                raise PlanFormatError(f"ranks[{index}]", f"expected 0 to {min(M, Kh * Kw)}, got {rank}")
        if self.layout not in LAYOUTS:
            raise PlanFormatError("layout", f"expected one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        if self.layout != "gather" and len(set(self.ranks)) > 1:
            raise PlanFormatError("ranks", f"layout {self.layout} needs equal ranks in every channel")

    @property
    def converted(self) -> bool:
        """Whether the layer becomes GDWS."""
        return self.left_alone is None

    @property
    def components(self) -> int | None:
        """G, the sum of the ranks; None for a layer left alone."""
        return None if self.ranks is None else sum(self.ranks)

    @property
    def mean_rank(self) -> float | None:
        """G/C; None for a layer left alone."""
        return None if self.ranks is None else sum(self.ranks) / len(self.ranks)

    @property
    def positions(self) -> int | None:
        """Places where the weight is applied in a forward pass of one sample; None if unknown."""
        return None if self.grids is None else sum(height * width for height, width in self.grids)

    @property
    def macs_dense(self) -> int | None:
        """MACs of one sample before conversion (Equation 2); None if unknown."""
        return None if self.positions is None else self.positions * dense_weights(self.weight_shape)

    @property
    def macs_gdws(self) -> int | None:
        """MACs of one sample after conversion (Equation 3), or as before if left alone; None if unknown."""
        if self.components is None or self.positions is None:
            return self.macs_dense
        return self.positions * gdws_weights(self.weight_shape, self.components)

    @property
    def parameters_gdws(self) -> int:
        """Parameters after conversion, bias included; as before if left alone or shared."""
        if self.components is None or self.shares is not None:
            return self.parameters_dense
        change = gdws_weights(self.weight_shape, self.components) - dense_weights(self.weight_shape)
        return self.parameters_dense + change + (self.weight_shape[0] if self.bias_added else 0)


@dataclass(frozen=True)
class CalibrationSet:
    """The images that factors were fitted to: how many, and the SHA-256 of their shape and values."""

    images: int
    sha256: str


@dataclass(frozen=True)
class Totals:
    """Sums over the whole network, layers left alone included.

    MACs are those of one sample, in layers with a weight; None if unknown. Parameters include what belongs
    to no listed layer, such as batch normalisation. ``e2`` is the sum over converted weights, a shared one once; with
    alphas of Equation 8 it bounds the probability that weight errors change a decision.
    """

    layers: int
    converted: int
    macs_dense: int | None
    macs_gdws: int | None
    parameters_dense: int
    parameters_gdws: int
    e2: float


@dataclass(frozen=True)
class Plan:
    """What becomes of a network.

    ``constraint`` and ``budget`` say what set the ranks; ``budget`` is the value of that constraint, None for ranks
    that were given. ``weighted`` tells whether alphas were used. ``calibration`` names the images that the factors were
    fitted to; None for the paper's method, which looks at weights alone. ``input_shape`` is the shape of one sample
    with which MACs were counted, or None. ``other_parameters`` counts the parameters that belong to no listed layer.
    """

    layers: tuple[LayerPlan, ...]
    constraint: Constraint = "given"
    budget: float | None = None
    weighted: bool = False
    input_shape: tuple[int, ...] | None = None
    other_parameters: int = 0
    calibration: CalibrationSet | None = None

    def __post_init__(self) -> None:
        names: set[str] = set()
        for index, layer in enumerate(self.layers):
            if layer.name in names:
                raise PlanFormatError(f"layers[{index}].name", f"a second layer named {layer.name!r}")
            names.add(layer.name)

    @property
    def method(self) -> Method:
        """How the factors are found."""
        return "weights" if self.calibration is None else "data-aware"

    @property
    def converted(self) -> tuple[LayerPlan, ...]:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    def to_json(self) -> str:
        """Return the plan as JSON text, one line for each layer."""
        content = self.to_dict()
        layers = ",\n".join("    " + json.dumps(layer) for layer in content.pop("layers"))
        head = json.dumps(content, indent=2)[:-2]
        return f'{head},\n  "layers": [\n{layers}\n  ]\n}}\n'

    @classmethod
    def from_dict(cls, content: Any) -> Plan:
        """Return the plan of :meth:`to_dict`. Raises :class:`PlanFormatError` naming the field."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise PlanFormatError("format", f'not a plan: expected an object with "format": "{FORMAT}"')
        if content.get("version") not in _READABLE:
            known = " or ".join(map(str, _READABLE))
            raise PlanFormatError("version", f"expected {known}, got {content.get('version')!r}")
        body = {name: value for name, value in content.items() if name not in ("format", "version")}
        return cls(**read.record(body, "", _PLAN_REQUIRED, _PLAN_OPTIONAL))

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Return the plan of :meth:`to_json`. Raises :class:`PlanFormatError` naming the field."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanFormatError("", f"not JSON: {error}") from error
        return cls.from_dict(content)

    def __str__(self) -> str:
        """Return a table: one row for each layer, then the totals."""
        return table(self)


def _sum_known(values: Iterable[int | None]) -> int | None:
    """The sum, or None if any part is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _layer(value: Any, path: str) -> LayerPlan:
    fields = read.record(value, path, _LAYER_REQUIRED, _LAYER_OPTIONAL)
    try:
        return LayerPlan(**fields)
    except PlanFormatError as error:
        raise PlanFormatError(f"{path}.{error.field}", error.problem) from error


def _constraint(value: Any, path: str) -> str:
    if value not in CONSTRAINTS:
        raise PlanFormatError(path, f"expected one of {', '.join(CONSTRAINTS)}, got {value!r}")
    return read.text(value, path)


def _calibration(value: Any, path: str) -> CalibrationSet:
    return CalibrationSet(**read.record(value, path, {"images": read.count, "sha256": read.text}, {}))


_LAYER_REQUIRED: dict[str, read.Reader[Any]] = {
    "name": read.text,
    "kind": read.text,
    "weight_shape": read.sequence(read.count),
    "parameters_dense": read.count,
}
_LAYER_OPTIONAL: dict[str, read.Reader[Any]] = {
    "grids": read.optional(read.sequence(read.sequence(read.count, length=2))),
    "shares": read.optional(read.text),
    "ranks": read.optional(read.sequence(read.count)),
    "layout": read.optional(read.text),
    "e2": read.optional(read.number),
    "energy": read.optional(read.number),
    "left_alone": read.optional(read.text),
    "bias_added": read.flag,
}
_PLAN_REQUIRED: dict[str, read.Reader[Any]] = {"layers": read.sequence(_layer)}
_PLAN_OPTIONAL: dict[str, read.Reader[Any]] = {
    "constraint": _constraint,
    "budget": read.optional(read.number),
    "weighted": read.flag,
    "input_shape": read.optional(read.sequence(read.count)),
    "other_parameters": read.count,
    "calibration": read.optional(_calibration),
}
