"""What an optimisation came to, as it is stored and reported: the answer, layer by layer, and how it was found."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws_contract.base import Reading
from gdws_contract.parsing import first_fault


class LayerVerdict(Reading):
    """What became of one layer, and why.

    ``dense_ms`` and ``ms`` are its times in the dense network and in the one delivered, from profiles that are scaled
    to the times of the whole networks; None where the runtime does not tell. ``error`` is the expected square of the
    first-order change of the decisions.
    """

    name: str
    shape: str
    option: str
    layout: str | None
    mean_rank: float | None
    macs_dense: int | None
    macs: int | None
    dense_ms: float | None
    ms: float | None
    error: float | None
    why: str


class Change(Reading):
    """Percentage points of accuracy lost against the dense network on the same images, with 95 % limits."""

    points: float
    low: float
    high: float
    images: int


class Network(Reading):
    """One network that was timed: ``cost`` in the unit of the optimisation, and the speed-up with its interval.

    ``natural`` and ``robust`` are losses on the images that choices are made on, the ``final`` ones on those of the
    final figures.
    """

    name: str
    predicted: float | None
    cost: float
    speedup: float
    speedup_low: float
    speedup_high: float
    error: float
    macs: int
    natural: Change | None = None
    robust: Change | None = None
    final_natural: Change | None = None
    final_robust: Change | None = None
    delivered: bool = False
    carrier: bool = False


class Optimisation(Reading):
    """The whole answer. Without a network that is delivered it is the dense one, and ``reason`` says why.

    ``residual_median`` and ``residual_p90`` are relative errors of the latency model on networks that it had not seen,
    each left out in turn.
    """

    format: Literal["gdws.optimisation"] = "gdws.optimisation"
    version: Literal[1] = 1
    network: str
    goal: str
    natural_limit_points: float | None
    robust_limit_points: float | None
    device: str
    setting: str
    status: str
    reason: str
    unit: Literal["ms", "mJ"]
    dense: float | None
    bound: float | None
    layers: tuple[LayerVerdict, ...]
    networks: tuple[Network, ...]
    residual_median: float | None
    residual_p90: float | None
    has_pair_terms: bool
    is_profiled: bool
    doubts: tuple[str, ...] = ()
    host_s: float
    bundle_id: str | None = None

    @property
    def delivered(self) -> tuple[Network, ...]:
        """The networks that are delivered, best first."""
        return tuple(network for network in self.networks if network.delivered)


def save_optimisation(found: Optimisation, path: Path) -> None:
    """Store ``found``. Raises OSError."""
    write_atomic(path, found.model_dump_json(indent=1).encode() + b"\n")


def load_optimisation(path: Path) -> Optimisation:
    """What :func:`save_optimisation` stored. Raises :class:`~gdws.errors.ResultError` and OSError."""
    try:
        return Optimisation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        field, message = first_fault(error)
        raise ResultError(f"{path}: {message}", field=field or None, hint="gdws optimize writes such files") from error
