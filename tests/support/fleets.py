"""Sweeps for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdws.device.devices import DeviceEntry
from gdws.fleet.folder import FleetFolder, create
from gdws.fleet.sweep import Retries, load_sweep
from support.bundles import tiny_bundle

FAST = Retries(first_s=0.01, longest_s=0.05, tries=3)


def fleet_folder(
    folder: Path,
    urls: Mapping[str, str],
    *,
    jobs: int = 2,
    batch_sizes: tuple[int, ...] = (1,),
    retries: Retries = FAST,
    shared_database: bool = False,
    **entry: Any,
) -> FleetFolder:
    """The folder of a sweep of ``jobs`` jobs, each of one bundle with two networks, on the devices at ``urls``."""
    tiny_bundle(folder / "net.gdws")
    sweep = folder / "SWEEP.toml"
    sweep.write_text(
        f'bundles = ["net.gdws"]\n[[measure]]\nthreads = {list(range(1, jobs + 1))}\n'
        f"[measure.request]\nbatch_sizes = {list(batch_sizes)}\n"
    )
    loaded = load_sweep(sweep).model_copy(update={"retries": retries})
    devices = {name: DeviceEntry(url=url, **entry) for name, url in urls.items()}
    return create(folder / "fleet", loaded, devices, shared_database=shared_database)
