"""A device that measures nothing, for whole gates: each run has the cells that the pairing asks for. No figure is real.

::

    report = gate_on_it(tmp_path, candidate, baseline, settings, unchanged)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdws.device.devices import Device
from gdws.gate import launch
from gdws.gate.figures import Run, read_run
from gdws.gate.pairing import Pairing, SideName, run_name
from gdws.gate.reports import GateReport
from gdws.gate.session import DeviceAccess
from gdws.gate.settings import GateSettings
from gdws_contract.archive import open_bundle
from gdws_contract.measures import Proportion
from gdws_contract.rest import BenchmarkResult, Cell
from support.benchmark_results import Net, cell, result

#: What becomes of the result of a run, by its number from 1.
Change = Callable[[int, BenchmarkResult], BenchmarkResult]

DEVICE = Device("xavier", "http://xavier:8000")
LIMITS = {"max_slowdown_percent": 3, "max_natural_drop_points": 1, "max_robust_drop_points": 1}
ALONE = {"min_natural_percent": 50, "min_robust_percent": 50, "max_latency_ms": 1_000}


def unchanged(number: int, measured: BenchmarkResult) -> BenchmarkResult:
    """The result as it is."""
    return measured


@dataclass
class MadeUpSession:
    """Stands in for :class:`gdws.gate.session.Session`."""

    pairing: Pairing
    batch_sizes: tuple[int, ...]
    change: Change
    url: str = DEVICE.url
    warnings: tuple[str, ...] = ()

    def say(self, line: str) -> None:
        """Nobody listens."""

    def stop(self) -> None:
        """There is nothing to stop."""

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[int], tuple[BenchmarkResult, Run]]]:
        """Gives what makes up the ``n``-th run."""
        yield self._measure

    def _measure(self, number: int) -> tuple[BenchmarkResult, Run]:
        nets = {Net(run_name(side, network)): (side, network) for side, network in self.pairing.members()}
        cells = [
            measured(cell(net, net, batch), attacked=self._is_attacked(*member))
            for batch in self.batch_sizes
            for net, member in nets.items()
        ]
        found = self.change(number, result(list(nets), cells=cells))
        return found, read_run(found, self.pairing)

    def _is_attacked(self, side: SideName, network: str) -> bool:
        path = self.pairing.candidate if side == "candidate" else self.pairing.baseline
        assert path is not None
        with open_bundle(path) as bundle:
            return bundle.manifest.variant(network).adversarial_inputs is not None


def measured(made: Cell, *, attacked: bool) -> Cell:
    """``made`` right on 14 of the 16 images that tiny bundles hold, also on the adversarial ones, if there are any."""
    assert made.parity is not None
    right = Proportion(value=14 / 16, successes=14, count=16)
    natural = dict.fromkeys(("natural", "natural_host"), right)
    accuracies = {**natural, **dict.fromkeys(("robust", "robust_host"), right if attacked else None)}
    return made.model_copy(update={"parity": made.parity.model_copy(update={**accuracies, "count": 16})})


@contextlib.contextmanager
def made_up_device(change: Change = unchanged) -> Iterator[None]:
    """Within, gates and baselines are measured on the made-up device, and gates leave no files."""
    real, write = launch._session, launch.write_outputs

    def session(device: Device, pairing: Pairing, settings: GateSettings, *_: object) -> Any:
        return MadeUpSession(pairing, tuple(settings.measure.batch_sizes), change)

    launch._session, launch.write_outputs = session, lambda report, folder: []
    try:
        yield
    finally:
        launch._session, launch.write_outputs = real, write


def gate_on_it(
    folder: Path,
    bundle: Path,
    baseline: Path | None,
    settings: GateSettings,
    change: Change = unchanged,
    noise: Path | None = None,
) -> GateReport:
    """A whole gate on the made-up device, whose noise is not known unless it is given."""
    with made_up_device(change):
        ended = launch.run_gate(
            bundle,
            [DEVICE],
            settings,
            baseline=baseline,
            folder=folder / "out",
            noise=noise or folder / "no-noise.json",
            access=DeviceAccess(),
            say=lambda line: None,
        )
    return ended.report
