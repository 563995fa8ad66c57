"""Facts about the machine that the agent runs on. Unreadable values are None."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import List, Optional

import psutil

from gdws_contract import __version__
from gdws_contract.rest import API_VERSION, Availability, DeviceInfo

_ROOT = Path("/")
#: The device tree of a board. Docker hides the first; docker-compose.yml mounts the host's at the second.
_DEVICE_TREES = ("proc/device-tree", "host/device-tree")


def describe_device(
    backends: List[Availability], power_sensors: List[Availability], *, simulated: bool = False, root: Path = _ROOT
) -> DeviceInfo:
    """Return the facts; files are read below ``root``."""
    memory = psutil.virtual_memory()
    return DeviceInfo(
        agent_version=__version__,
        api_version=API_VERSION,
        board=read_board(root),
        l4t=read_l4t(root),
        hostname=platform.node(),
        os=read_os_name(root) or platform.system(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        cpu_model=read_cpu_model(root),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(logical=True),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        simulated=simulated,
        backends=backends,
        power_sensors=power_sensors,
    )


def read_board(root: Path) -> Optional[str]:
    """Return the Jetson's model, e.g. ``NVIDIA Jetson Xavier NX Developer Kit``; None on other machines."""
    model = next(filter(None, (_read(root, f"{tree}/model") for tree in _DEVICE_TREES)), None)
    if model is None or not re.search(r"jetson|nvidia", model, re.IGNORECASE):
        return None
    return model


def read_l4t(root: Path) -> Optional[str]:
    """Return the release of Linux for Tegra, e.g. ``35.4.1``, from a first line such as

    ``# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, ...``
    """
    text = _read(root, "etc/nv_tegra_release")
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text or "")
    return f"{found.group(1)}.{found.group(2)}" if found else None


def read_os_name(root: Path) -> Optional[str]:
    """Return the distribution's name, e.g. ``Ubuntu 20.04.6 LTS``; in a container it is the container's."""
    text = _read(root, "etc/os-release")
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', text or "", re.MULTILINE)
    return found.group(1) if found else None


def read_cpu_model(root: Path) -> Optional[str]:
    """Return the processor's name. On ARM the device tree names the core instead, e.g. ``arm,cortex-a78``."""
    found = re.search(r"^model name\s*:\s*(.+)$", _read(root, "proc/cpuinfo") or "", re.MULTILINE)
    if found:
        return found.group(1).strip()
    for path in (path for tree in _DEVICE_TREES for path in sorted((root / tree / "cpus").glob("cpu@*/compatible"))):
        compatible = _read(root, str(path.relative_to(root)))
        if compatible:
            return compatible.split("\0")[0]
    return None


def _read(root: Path, name: str) -> Optional[str]:
    """Return the text of a file without the padding of device-tree strings, or None."""
    try:
        text = (root / name).read_text(encoding="utf-8", errors="replace").strip(" \n\0")
    except OSError:
        return None
    return text or None
