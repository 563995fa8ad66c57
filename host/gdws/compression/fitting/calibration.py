"""Calibration images of a network, with statistics that all its conversions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gdws._util.gradients import differentiable
from gdws._util.progress import SILENT, Progress
from gdws.algorithms.spectrum import Ints
from gdws.compression.calibration.projections import Projection, of_outputs
from gdws.compression.fitting.energies import observe_energies
from gdws.compression.fitting.images import identify
from gdws.compression.fitting.observe import Observation, observe
from gdws.compression.fitting.sensitivity import sensitivities
from gdws.compression.plain import plain
from gdws.compression.surgery import Layer
from gdws_contract.plan import CalibrationSet

#: Number of images for the weighting of errors; factors are fitted to all images.
OBSERVED = 512


class Calibration:
    """``images`` (N, C, H, W) for the network ``given``, which must stay as it is; ``identity`` is theirs.

    ``model`` is that network with plain convolutions, see :func:`gdws.compression.plain.plain`.

    ``projection`` defines which changes of the outputs matter, by default those of a classifier's decision and any
    other network's squared error, see :func:`~gdws.compression.calibration.projections.of_outputs`; without gradients,
    errors are weighted by the energy of each layer's output instead. Statistics are cached: several conversions of a
    network with the same object observe each layer once. Raises
    :class:`~gdws.errors.DataError` as :func:`gdws.compression.fitting.identify`.
    """

    def __init__(self, model: nn.Module, images: Tensor, projection: Projection | None = None) -> None:
        self.given, self.model, self.images = model, plain(model), images
        self.identity: CalibrationSet = identify(images)
        self._projection = projection
        self._observations: dict[str, Observation] = {}
        self._costs: dict[tuple[str, bytes], float] = {}

    def observe(self, layers: Sequence[Layer]) -> dict[str, Observation]:
        """What :func:`gdws.compression.fitting.observe` finds on the first :data:`OBSERVED` images.

        ``layers`` are all that hold one of the weights in question. Those that do not run are not in the result.
        """
        used = [layer for layer in layers if layer.grids]
        missing = [layer for layer in used if _holder(layer) not in self._observations]
        if missing:
            self._observations |= self._observed(missing, self.images[:OBSERVED])
        return {name: self._observations[name] for name in dict.fromkeys(map(_holder, used))}

    def _observed(self, layers: Sequence[Layer], images: Tensor) -> dict[str, Observation]:
        if not differentiable(self.model):
            return observe_energies(self.model, layers, images)
        if self._projection is None:
            self._projection = of_outputs(self.model, images)
        return observe(self.model, layers, images, self._projection)

    def sensitivities(
        self, layers: Sequence[Layer], candidates: Mapping[str, Sequence[Ints]], *, progress: Progress = SILENT
    ) -> dict[str, list[float]]:
        """What :func:`gdws.compression.fitting.sensitivities` finds for ``candidates``.

        ``layers`` are as for :meth:`observe`.
        """
        missing = {
            name: new
            for name, ranks in candidates.items()
            if (new := [each for each in ranks if _key(name, each) not in self._costs])
        }
        if missing:
            found = sensitivities(self.model, layers, self.images, self.observe(layers), missing, progress=progress)
            for name, costs in found.items():
                self._costs |= {_key(name, each): cost for each, cost in zip(missing[name], costs, strict=True)}
        return {name: [self._costs[_key(name, each)] for each in ranks] for name, ranks in candidates.items()}


def _holder(layer: Layer) -> str:
    return layer.shares or layer.name


def _key(name: str, ranks: Ints) -> tuple[str, bytes]:
    return name, ranks.astype("int64").tobytes()
