"""Whether the runs of a gate were measured in the same circumstances: each cell of each run, of either side."""

from __future__ import annotations

from dataclasses import dataclass, field

from gdws.gate.noise import circumstances
from gdws_contract.findings.environment import Difference, differing
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import BenchmarkResult, Cell

#: The code of the flag that an agent gives the cells of a job whose power mode somebody else changed.
POWER_MODE_CHANGED = "power-mode-changed"


@dataclass
class Consistency:
    """Takes one result after the other, and knows the circumstances in which a setting was seen first."""

    _first: dict[Setting | None, dict[str, str | None]] = field(default_factory=dict)

    def changes(self, result: BenchmarkResult) -> tuple[Difference, ...]:
        """What is not as it was when the setting of a cell was measured first, be it in this result or in an earlier.

        A cell that was not measured tells nothing of its worker, and counts for its device alone.
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
    """What the agent itself saw change while it measured."""
    told = (flag for flag in cell.flags if flag.code == POWER_MODE_CHANGED)
    return tuple(Difference(what="power mode", a=cell.power_mode, b=flag.detail) for flag in told)


def _with_cells(result: BenchmarkResult, cells: list[Cell]) -> BenchmarkResult:
    return result.model_copy(update={"job": result.job.model_copy(update={"cells": cells})})
