"""Whether all cells of all runs of a gate, on both sides, were measured under the same conditions."""

from __future__ import annotations

from dataclasses import dataclass, field

from gdws.gate.noise import circumstances
from gdws_contract.findings.environment import Difference, differing
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import BenchmarkResult, Cell

#: The flag of cells during whose job somebody else changed the power mode.
POWER_MODE_CHANGED = "power-mode-changed"


@dataclass
class Consistency:
    """Compares each result with the conditions under which a setting was first measured."""

    _first: dict[Setting | None, dict[str, str | None]] = field(default_factory=dict)

    def changes(self, result: BenchmarkResult) -> tuple[Difference, ...]:
        """Differences from the first measurement of the same setting, in this result or an earlier one.

        For a cell that was not measured only the device is compared, since its worker is unknown.
        """
        found = dict.fromkeys(self._compare(None, circumstances(_with_cells(result, []), "")))
        for cell in result.job.cells:
            if cell.state == "done":
                key = cell.key
                setting = Setting(key.backend, key.precision, key.batch_size, key.power_mode)
                own = circumstances(_with_cells(result, [cell]), key.backend)
                found |= dict.fromkeys((*self._compare(setting, own), *_seen_by_agent(cell)))
        return tuple(found)

    def _compare(self, setting: Setting | None, own: dict[str, str | None]) -> tuple[Difference, ...]:
        return differing(self._first.setdefault(setting, own), own)


def _seen_by_agent(cell: Cell) -> tuple[Difference, ...]:
    """Changes that the agent itself noticed while it measured."""
    told = (flag for flag in cell.flags if flag.code == POWER_MODE_CHANGED)
    return tuple(Difference(what="power mode", a=cell.power_mode, b=flag.detail) for flag in told)


def _with_cells(result: BenchmarkResult, cells: list[Cell]) -> BenchmarkResult:
    return result.model_copy(update={"job": result.job.model_copy(update={"cells": cells})})
