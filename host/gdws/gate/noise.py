"""How much the figures of a device vary from run to run, measured by comparing a network with itself.

The file is stored for a device and a backend in the user's data folder, and is valid for the conditions and the
protocol of its measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from gdws._util.data_folder import data_folder
from gdws.errors import GdwsError
from gdws.gate.documents import load
from gdws.gate.figures import Run, Subject, log_figure
from gdws.gate.limits import MEASURES, Measure
from gdws.gate.sequential import Spread
from gdws_contract.base import NonNegative, Record, safe_name
from gdws_contract.findings.environment import Difference, differing, surroundings
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import BenchmarkResult, PowerMode

#: A condition that differs between runs on purpose.
_MEANT_TO_DIFFER = "protocol: seed"


class SpreadRecord(Record):
    """The standard deviation of one measure in one setting, on the logarithmic scale."""

    precision: str
    batch_size: int
    power_mode: PowerMode | None = None
    measure: Measure
    paired: bool = Field(description="Spread of the ratio to a paired network; otherwise of the figure itself.")
    sd: NonNegative
    runs: int = Field(ge=3)


class Noise(Record):
    """The noise of one device with one backend, as measured by ``gdws noise``."""

    kind: Literal["gdws-noise"] = "gdws-noise"
    schema_version: Literal[1] = 1
    device: str
    backend: str
    network: str = Field(description="The network that was compared with itself.")
    measured_at: str
    environment: dict[str, str | None]
    spreads: list[SpreadRecord]

    def spread(self, setting: Setting, measure: Measure, paired: bool) -> Spread | None:
        """The spread for a question; None if it was not measured."""
        wanted = (setting.precision, setting.batch_size, setting.power_mode, measure, paired)
        for each in self.spreads:
            if (each.precision, each.batch_size, each.power_mode, each.measure, each.paired) == wanted:
                return Spread(each.sd, each.runs)
        return None


def spreads(runs: Sequence[Run], subject: Subject) -> list[SpreadRecord]:
    """The spread of each measure of ``subject`` over ``runs``, in each of which it ran beside itself."""
    setting = subject.setting
    found = []
    for measure in MEASURES:
        pairs = [
            (log_figure(r.candidate.get(subject), measure), log_figure(r.baseline.get(subject), measure)) for r in runs
        ]
        known = [(own, beside) for own, beside in pairs if own is not None and beside is not None]
        if len(known) < 3:
            continue
        observed: dict[bool, list[float]] = {
            True: [own - beside for own, beside in known],
            False: [own for own, _ in known],
        }
        for paired, values in observed.items():
            found.append(
                SpreadRecord(
                    precision=setting.precision,
                    batch_size=setting.batch_size,
                    power_mode=setting.power_mode,
                    measure=measure,
                    paired=paired,
                    sd=float(np.std(values, ddof=1)),
                    runs=len(values),
                )
            )
    return found


def circumstances(result: BenchmarkResult, backend: str) -> dict[str, str | None]:
    """The conditions of the cells of one backend, except those that differ between runs on purpose."""
    cells = [cell for cell in result.job.cells if cell.key.backend == backend]
    found = surroundings(result.model_copy(update={"job": result.job.model_copy(update={"cells": cells})}))
    return {name: value for name, value in found.items() if name != _MEANT_TO_DIFFER}


def changes(before: Mapping[str, str | None], result: BenchmarkResult, backend: str) -> tuple[Difference, ...]:
    """Differences between the conditions ``before`` and those of ``result``."""
    return differing(before, circumstances(result, backend))


def default_path(device: str, backend: str) -> Path | None:
    """The file for the noise of a device with a backend, below the user's data folder or ``GDWS_DATA_DIR``.

    None for a user without a home, such as a bare user id in a container.
    """
    folder = data_folder()
    if folder is None:
        return None
    return folder / "noise" / safe_name(device, default="device") / f"{safe_name(backend, default='backend')}.json"


def own_path(device: str, backend: str) -> Path:
    """:func:`default_path` for writing; raises :class:`GdwsError` if there is none."""
    path = default_path(device, backend)
    if path is None:
        raise GdwsError("there is no home folder for the noise file", hint="give --out FILE, or set GDWS_DATA_DIR")
    return path


def load_noise(path: Path | None) -> Noise | None:
    """What is stored at ``path``; None if there is no such file. Raises as :func:`gdws.gate.documents.load`."""
    if path is None:
        return None
    try:
        return load(Noise, path, hint="measure it again: gdws noise")
    except FileNotFoundError:
        return None
