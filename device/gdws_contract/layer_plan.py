"""What becomes of one layer of a network."""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated, Literal, get_args

from .base import NonNegative
from .costs import dense_weights, gdws_weights

#: How a GDWS layer runs. ``gather``: input channels are repeated g_c times, then one depthwise convolution;
#: any ranks. ``stacked``: g depthwise convolutions side by side; equal ranks. ``grouped``: one grouped
#: convolution with channel multiplier g; equal ranks. A pointwise convolution follows in each.
Layout = Literal["gather", "stacked", "grouped"]
LAYOUTS: Tuple[str, ...] = get_args(Layout)

#: A field that is not known is refused.
PLAIN = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=0)]


def inconsistent(field: str, problem: str) -> PydanticCustomError:
    """Return the error of a check that spans fields; ``field`` is the path of the culprit."""
    return PydanticCustomError("inconsistent", "{problem}", {"field": field, "problem": problem})


@dataclass(frozen=True, config=PLAIN)
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

    Raises:
        pydantic.ValidationError: a field is malformed, or fields contradict each other.
    """

    name: str
    kind: str
    weight_shape: Tuple[Count, ...]
    parameters_dense: Count
    grids: Optional[Tuple[Tuple[Count, Count], ...]] = None
    shares: Optional[str] = None
    ranks: Optional[Tuple[int, ...]] = None
    layout: Optional[str] = None
    e2: Optional[NonNegative] = None
    energy: Optional[NonNegative] = None
    left_alone: Optional[str] = None
    bias_added: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> LayerPlan:
        for name in ("ranks", "layout", "e2", "energy"):
            if (getattr(self, name) is None) != (self.left_alone is not None):
                absent = "missing, and left_alone gives no reason"
                raise inconsistent(name, absent if self.left_alone is None else "must be absent, as it is left alone")
        if self.left_alone is None:
            self._check_ranks()
        return self

    def _check_ranks(self) -> None:
        assert self.ranks is not None
        if len(self.weight_shape) != 4 or 0 in self.weight_shape:
            raise inconsistent("weight_shape", "a layer with ranks needs (M, C, Kh, Kw), none of them 0")
        M, C, Kh, Kw = self.weight_shape
        if len(self.ranks) != C:
            raise inconsistent("ranks", f"expected {C} ranks, one per input channel, got {len(self.ranks)}")
        for index, rank in enumerate(self.ranks):
            if not 0 <= rank <= min(M, Kh * Kw):
                raise inconsistent(f"ranks[{index}]", f"expected 0 to {min(M, Kh * Kw)}, got {rank}")
        if self.layout not in LAYOUTS:
            raise inconsistent("layout", f"expected one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        if self.layout != "gather" and len(set(self.ranks)) > 1:
            raise inconsistent("ranks", f"layout {self.layout} needs equal ranks in every channel")

    @property
    def converted(self) -> bool:
        """Whether the layer becomes GDWS."""
        return self.left_alone is None

    @property
    def components(self) -> Optional[int]:
        """G, the sum of the ranks; None for a layer left alone."""
        return None if self.ranks is None else sum(self.ranks)

    @property
    def mean_rank(self) -> Optional[float]:
        """G/C; None for a layer left alone."""
        return None if self.ranks is None else sum(self.ranks) / len(self.ranks)

    @property
    def positions(self) -> Optional[int]:
        """Places where the weight is applied in a forward pass of one sample; None if unknown."""
        return None if self.grids is None else sum(height * width for height, width in self.grids)

    @property
    def macs_dense(self) -> Optional[int]:
        """MACs of one sample before conversion (Equation 2); None if unknown."""
        return None if self.positions is None else self.positions * dense_weights(self.weight_shape)

    @property
    def macs_gdws(self) -> Optional[int]:
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


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums over the whole network, layers left alone included.

    MACs are those of one sample, in layers with a weight; None if unknown. Parameters include what belongs
    to no listed layer, such as batch normalisation. ``e2`` is the sum over converted weights, a shared one once; with
    alphas of Equation 8 it bounds the probability that weight errors change a decision.
    """

    layers: int
    converted: int
    macs_dense: Optional[int]
    macs_gdws: Optional[int]
    parameters_dense: int
    parameters_gdws: int
    e2: float
