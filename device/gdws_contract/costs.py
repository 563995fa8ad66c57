"""What a convolution costs, dense and as GDWS."""

from __future__ import annotations

import math
from typing import Sequence


def dense_weights(weight_shape: Sequence[int]) -> int:
    """Return the weights of the dense layer, M*C*Kh*Kw: also its MACs at each output position (Equation 2)."""
    return math.prod(weight_shape)


def gdws_weights(weight_shape: Sequence[int], components: int) -> int:
    """Return the weights of the GDWS layer, G*(Kh*Kw + M): also its MACs at each output position (Equation 3).

    ``components`` is G, the sum of the ranks.
    """
    M, _, Kh, Kw = weight_shape
    return components * (Kh * Kw + M)


def size_mib(parameters: int, bytes_per_parameter: int = 4) -> float:
    """Size of that many parameters in MiB; the paper's Size column counts four bytes each."""
    return parameters * bytes_per_parameter / 2**20
