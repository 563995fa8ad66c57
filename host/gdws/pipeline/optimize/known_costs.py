"""Costs of layers that outlast a search: the next network on the same device starts from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdws._util.data_folder import data_folder
from gdws._util.files import write_atomic
from gdws.pipeline.optimize.state import State
from gdws.planning.search.latency_model import Basis, Class
from gdws_contract.rest import DeviceInfo

_FORMAT, _VERSION = "gdws.known-costs", 1
#: A cost from another network is trusted no further than this, whatever its interval says.
_LEAST_SD = 0.03


class KnownCosts:
    """A file for each device with all that times depend on: never read for another one.

    Each cost is in milliseconds, or millijoules in a file of its own, with its relative standard error.
    """

    def __init__(self, folder: Path | None, fingerprint: str, unit: str) -> None:
        self._name = f"{fingerprint}-{unit}"
        self._path = None if folder is None else folder / f"{self._name}.json"

    def at_start(self, state: State) -> dict[Class, Basis]:
        """What was known when the search of ``state`` began, which learns and is resumed; raises as its ``recall``.

        A search that is resumed after it has added its own costs must not start from these.
        """
        rows = state.recall(
            "known-costs",
            [self._name, self._path is not None],
            lambda: [[*key, basis.ms, basis.sd] for key, basis in self.load().items()],
        )
        return {(geometry, option): Basis(ms, known=True, sd=sd) for geometry, option, ms, sd in rows}

    def load(self) -> dict[Class, Basis]:
        """What is known; nothing where there is no file, or none that this release reads: it is measured again."""
        if self._path is None or not self._path.exists():
            return {}
        try:
            content = json.loads(self._path.read_bytes())
            if (content["format"], content["version"]) != (_FORMAT, _VERSION):
                return {}
            return {
                (row["geometry"], row["option"]): Basis(
                    float(row["cost"]), known=True, sd=max(float(row["relative_sd"]), _LEAST_SD)
                )
                for row in content["costs"]
            }
        except (ValueError, KeyError, TypeError):
            return {}

    def add(self, learned: Mapping[Class, Basis], device: DeviceInfo, setting: str) -> None:
        """Keep ``learned`` in place of what was known of the same; raises OSError."""
        if self._path is None:
            return
        costs = {**self.load(), **learned}
        rows: list[dict[str, Any]] = [
            {"geometry": geometry, "option": option, "cost": basis.ms, "relative_sd": basis.sd}
            for (geometry, option), basis in sorted(costs.items())
        ]
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "device": device.board or device.cpu_model or device.machine,
            "hostname": device.hostname,
            "setting": setting,
            "costs": rows,
        }
        write_atomic(self._path, (json.dumps(content, indent=1) + "\n").encode())


def default_folder() -> Path | None:
    """Where costs are kept unless told otherwise; None without a home."""
    folder = data_folder()
    return None if folder is None else folder / "latency"
