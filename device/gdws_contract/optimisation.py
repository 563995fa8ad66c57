"""The stored result of an optimisation: the outcome, layer by layer, and how it was found."""

from __future__ import annotations

from typing import List, Optional, Tuple

from pydantic import Field
from typing_extensions import Literal

from .base import Finite, NonNegative, Reading


class LayerVerdict(Reading):
    """The outcome for one layer, and why.

    ``dense_ms`` and ``ms`` are its times in the dense network and in the one delivered, from profiles that are scaled
    to the times of the whole networks (or, where the unit is millijoules, their energies); None where the runtime does
    not tell. ``error`` is the expected square of the first-order change of the decisions.
    """

    name: str
    shape: str
    option: str
    layout: Optional[str]
    mean_rank: Optional[Finite]
    macs_dense: Optional[int]
    macs: Optional[int]
    dense_ms: Optional[Finite]
    ms: Optional[Finite]
    error: Optional[Finite]
    why: str


class Change(Reading):
    """Percentage points lost against the dense network on the same images, with 95 % limits; None: not known."""

    points: Finite
    low: Optional[Finite]
    high: Optional[Finite]
    images: int


class Network(Reading):
    """One network that was timed: ``cost`` in the unit of the optimisation, and the speed-up with its interval.

    Where the unit is millijoules, the speed-up is how many times as much energy the dense network takes.

    ``natural`` and ``robust`` are losses on the images that choices are made on, the ``final`` ones on those of the
    final figures. ``carrier`` says that it was built to learn times from, and predicted by nothing. ``peak_memory_mib``
    is of host and device together, None where it is not known.
    """

    name: str
    int8: bool = False
    predicted: Optional[Finite]
    cost: Finite
    speedup: Finite
    speedup_low: Finite
    speedup_high: Finite
    error: Finite
    macs: int
    natural: Optional[Change] = None
    robust: Optional[Change] = None
    final_natural: Optional[Change] = None
    final_robust: Optional[Change] = None
    delivered: bool = False
    carrier: bool = False
    peak_memory_mib: Optional[Finite] = None


class Rival(Reading):
    """The fastest dense form that keeps the limits, and how many times as fast the best network is, with 95 % limits.

    Of a dense form that is delivered there is no gain over itself.
    """

    name: str
    gain: Optional[Finite]
    gain_low: Optional[Finite]
    gain_high: Optional[Finite]


class EnergyPoint(Reading):
    """One network in one state of the board, i.e. a power mode with its clocks.

    An inference takes ``latency_ms`` in the median, ``tail_ms`` at the 99th percentile, and ``energy_mj`` with 95 %
    limits: all that the module draws meanwhile. ``period_mj`` is the energy of one inference and of the rest until the
    deadline; None where the idle power is not known. ``keeps_limits`` is None where accuracy was not evaluated.
    """

    network: str
    state: str
    latency_ms: NonNegative
    tail_ms: Optional[NonNegative]
    energy_mj: NonNegative
    energy_low_mj: Optional[Finite]
    energy_high_mj: Optional[Finite]
    period_mj: Optional[NonNegative]
    keeps_limits: Optional[bool] = None
    chosen: bool = False


class LeastEnergy(Reading):
    """Energy against latency within a deadline: what an ``inference``, or a ``period``, takes is minimised."""

    deadline_ms: NonNegative
    minimised: Literal["inference", "period"]
    states: List[str] = Field(max_length=200)
    points: List[EnergyPoint] = Field(max_length=10_000)

    def cost_mj(self, point: EnergyPoint) -> float:
        """What is minimised, of ``point``: where the idle power is not known, the energy of the inference alone."""
        whole_mj = point.period_mj if self.minimised == "period" else None
        return point.energy_mj if whole_mj is None else whole_mj

    @property
    def chosen(self) -> Optional[EnergyPoint]:
        """The network to run and the state to run it in; None if nothing meets the deadline."""
        return next((point for point in self.points if point.chosen), None)


class Optimisation(Reading):
    """The whole answer. Without a network that is delivered it is the dense one, and ``reason`` says why.

    ``residual_median`` and ``residual_p90`` are relative errors of the latency model on networks that it had not seen,
    each left out in turn. ``agreement`` is what ``natural`` changes and limits are of where the network is not a
    classifier, e.g. detections kept; None: natural accuracy. ``rival`` is None where the dense network ran in one
    precision alone, ``energy`` where the goal was not the least energy within a deadline. ``summary`` is the answer in
    sentences. In a bundle ``host_s`` and ``bundle_id`` are None.
    """

    format: Literal["gdws.optimisation"] = "gdws.optimisation"
    version: Literal[1] = 1
    network: str
    goal: str
    natural_limit_points: Optional[Finite]
    robust_limit_points: Optional[Finite]
    agreement: Optional[str] = None
    memory_limit_mib: Optional[Finite] = None
    device: str
    setting: str
    status: str
    reason: str
    unit: Literal["ms", "mJ"]
    dense: Optional[Finite]
    bound: Optional[Finite]
    layers: List[LayerVerdict] = Field(max_length=10_000)
    networks: List[Network] = Field(max_length=1_000)
    rival: Optional[Rival] = None
    energy: Optional[LeastEnergy] = None
    residual_median: Optional[Finite]
    residual_p90: Optional[Finite]
    has_pair_terms: bool
    is_profiled: bool
    doubts: List[str] = Field(default_factory=list, max_length=1_000)
    host_s: Optional[Finite] = None
    summary: List[str] = Field(default_factory=list, max_length=10)
    bundle_id: Optional[str] = None

    @property
    def delivered(self) -> Tuple[Network, ...]:
        """The networks that are delivered, best first."""
        return tuple(network for network in self.networks if network.delivered)
