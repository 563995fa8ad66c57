"""The start-up check: what is missing on this machine, one line for each finding, with its fix.

Runs when a container of the agent starts, and by hand as ``python -m gdws_agent.doctor``. It looks
at what lies around the agent: its folder, the board, whether the container was given the GPU.
What the backends and the power sensors lack, they are asked themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, TextIO, Tuple

from typing_extensions import Literal

from gdws_agent.api.access import TOKEN_FILE, given_tokens
from gdws_agent.device_info import read_l4t
from gdws_agent.errors import SettingsInvalid
from gdws_agent.measuring import landlock
from gdws_agent.probes import NO_SENSOR, Probes, system_probes
from gdws_agent.settings import Settings, load_settings
from gdws_contract.rest import Availability

OLDEST_L4T = 35
OLDEST_TENSORRT = (8, 5)

#: Release of L4T -> the TensorRT of its JetPack. Images may bring another: dustynv/l4t-pytorch:r36.4.0 has 10.4.
BOARD_TENSORRT = (("35.", "8.5"), ("36.3", "8.6"), ("36.4", "10.3"), ("38.", "10.13"), ("39.", "10.16"))

#: Where CUDA reaches the GPU of a Jetson: up to L4T r35, from r36, from r38.
GPU_NODES = ("dev/nvmap", "dev/nvhost-ctrl-gpu", "dev/nvhost-gpu", "dev/nvgpu/igpu*/*", "dev/nvidiactl")

_LITTLE_SPACE_BYTES = 2 * 2**30
_ROOT = Path("/")


Level = Literal["ok", "note", "warning", "fatal"]


class Finding(NamedTuple):
    """The finding of one check.

    ``note``: not here, and not expected to be. ``warning``: something will not work. ``fatal``: nothing will.
    """

    level: Level
    subject: str
    message: str
    fix: Optional[str] = None

    def __str__(self) -> str:
        line = f"[{self.level}] {self.subject}: {self.message}"
        return line if self.fix is None else f"{line}. Fix: {self.fix}"


def report(stream: Optional[TextIO] = None) -> bool:
    """Print every finding about this machine and return whether the agent can run on it."""
    findings = examine()
    for finding in findings:
        print(finding, file=stream or sys.stdout, flush=True)
    return all(finding.level != "fatal" for finding in findings)


def examine(root: Path = _ROOT, probes: Optional[Probes] = None) -> List[Finding]:
    """Return the findings; files of the system are looked for below ``root``."""
    asked = probes or system_probes()
    on_jetson = is_jetson(root)
    found = [*check_settings(), *check_board(root)]
    if on_jetson:
        found += [*check_gpu(root), *check_tensorrt(l4t=read_l4t(root))]
    found += [*check_backends(asked.backends()), *check_sensors(asked.power_sensors(), on_jetson)]
    return [*found, check_confinement(), *check_tokens()]


def is_jetson(root: Path) -> bool:
    """Return whether the machine below ``root`` is a Jetson."""
    return read_l4t(root) is not None or (root / "dev/nvmap").exists()


def check_settings() -> Iterator[Finding]:
    """Check that the agent's settings are usable, and the folder that they name."""
    try:
        settings = load_settings({}, os.environ)
        given_tokens(settings, os.environ)
    except SettingsInvalid as error:
        yield Finding("fatal", "settings", error.message, error.hint)
        return
    yield check_data_dir(settings.data_dir)


def check_confinement(version: Callable[[], Optional[int]] = landlock.interface) -> Finding:
    """Check whether the kernel can confine measuring processes to their files."""
    found = version()
    if found is None:
        return Finding(
            "note",
            "confinement",
            "landlock is not available: a vulnerability in a runtime would give access to all that this user can read",
            "run the agent as a dedicated user, or in its container; see docs/access.md",
        )
    return Finding("ok", "confinement", f"measuring processes are confined by landlock {found}")


def check_tokens() -> Iterator[Finding]:
    """Check whether clients need a token; nothing if the settings are wrong, which is reported already."""
    with contextlib.suppress(SettingsInvalid):
        settings = load_settings({}, os.environ)
        yield check_access(settings, bool(given_tokens(settings, os.environ)))


def check_access(settings: Settings, is_given: bool) -> Finding:
    """Return the source of the token that clients need."""
    kept = settings.data_dir / TOKEN_FILE
    if is_given:
        return Finding("ok", "access", "clients need the configured token")
    if kept.exists():
        return Finding("ok", "access", f"on addresses other than loopback clients need the token in {kept}")
    return Finding(
        "ok", "access", "on addresses other than loopback tokens are required; they are generated now and printed below"
    )


def check_data_dir(data_dir: Path) -> Finding:
    """Check that the data folder can be written and has space."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(data_dir)):
            pass
    except OSError as error:
        owner = f"{os.getuid()}:{os.getgid()}"
        return Finding(
            "fatal",
            "data folder",
            f"{data_dir} cannot be written: {error.strerror or error}",
            f"free space there, or change its owner: sudo chown -R {owner} FOLDER",
        )
    free_bytes = shutil.disk_usage(str(data_dir)).free
    if free_bytes < _LITTLE_SPACE_BYTES:
        return Finding(
            "warning",
            "data folder",
            f"{data_dir} has {free_bytes / 2**20:.0f} MiB free; bundles and engines need more",
            "free space there, or name another folder with GDWS_AGENT_DATA_DIR",
        )
    return Finding("ok", "data folder", f"{data_dir} can be written")


def check_board(root: Path) -> Iterator[Finding]:
    """Check that the board is supported, and that the container's system matches the board's."""
    l4t = read_l4t(root)
    if l4t is None:
        if is_jetson(root):
            yield Finding(
                "warning",
                "board",
                "a Jetson, but its release of Linux for Tegra is not known here",
                "mount /etc/nv_tegra_release of the host into the container, read-only",
            )
        else:
            yield Finding("note", "board", "not a Jetson: neither its GPU nor its power rails are expected")
        return
    major = int(l4t.split(".")[0])
    if major < OLDEST_L4T:
        yield Finding(
            "warning",
            "board",
            f"Linux for Tegra {l4t} has a TensorRT older than 8.5, which is not supported",
            "install JetPack 5.1 or newer",
        )
        return
    ubuntu = _read_ubuntu_version(root)
    if ubuntu is not None and (ubuntu == "20.04") != (major == OLDEST_L4T):
        yield Finding(
            "warning",
            "base image",
            f"an image of Ubuntu {ubuntu} does not fit Linux for Tegra {l4t}",
            f"build the image with a BASE_IMAGE tagged r{major}",
        )
        return
    yield Finding("ok", "board", f"Linux for Tegra {l4t}")


def _read_ubuntu_version(root: Path) -> Optional[str]:
    """Return the version of Ubuntu, e.g. ``20.04``; None on other systems."""
    try:
        text = (root / "etc/os-release").read_text()
    except OSError:
        return None
    if not re.search(r"^ID=\"?ubuntu\"?$", text, re.MULTILINE):
        return None
    found = re.search(r"^VERSION_ID=\"?([\d.]+)\"?$", text, re.MULTILINE)
    return found.group(1) if found else None


def check_gpu(root: Path, load_library: Callable[[str], Any] = ctypes.CDLL) -> Iterator[Finding]:
    """Check that the GPU's device nodes and driver library are present and accessible."""
    nodes = [path for pattern in GPU_NODES for path in sorted(root.glob(pattern))]
    if not nodes:
        yield Finding(
            "warning",
            "GPU",
            "this container was not given the GPU",
            "start it with `runtime: nvidia`; where Docker does not know that runtime: "
            "sudo apt install nvidia-container && sudo systemctl restart docker",
        )
        return
    closed = [node for node in nodes if not os.access(str(node), os.R_OK)]
    if closed:
        groups = sorted({node.stat().st_gid for node in closed})
        yield Finding(
            "warning",
            "GPU",
            f"{closed[0]} is closed to this process, which is not in group {_join(groups)}",
            f"add the group to the service: group_add: {[str(group) for group in groups]}",
        )
        return
    try:
        load_library("libcuda.so.1")
    except OSError as error:
        yield Finding(
            "warning",
            "GPU",
            f"the CUDA driver library cannot be loaded: {error}",
            "start the container with `runtime: nvidia`, which mounts the host's library",
        )
        return
    yield Finding("ok", "GPU", "device nodes and CUDA driver library are here")


def check_tensorrt(
    import_module: Callable[[str], Any] = importlib.import_module, l4t: Optional[str] = None
) -> Iterator[Finding]:
    """Check that TensorRT can be imported and is not too old; report if it is not the one of ``l4t``."""
    try:
        version = str(import_module("tensorrt").__version__)
    except (ImportError, AttributeError) as error:  # a folder of types has no version
        yield Finding(
            "warning",
            "TensorRT",
            f"cannot be imported: {error}",
            "build the image on an l4t base that has it, and start it with `runtime: nvidia`",
        )
        return
    if _parse_version(version) < OLDEST_TENSORRT:
        yield Finding(
            "warning", "TensorRT", f"{version} is older than 8.5, the first with named tensors", "install JetPack 5.1"
        )
        return
    boards = next((own for release, own in BOARD_TENSORRT if (l4t or "").startswith(release)), None)
    if boards is not None and _parse_version(version)[:2] != _parse_version(boards):
        version = f"{version} of the image; JetPack's own for this board is {boards}"
    yield Finding("ok", "TensorRT", version)


def check_backends(backends: Sequence[Availability]) -> Iterator[Finding]:
    """List what can run engines; nothing at all is fatal."""
    yield from (_describe("backend", backend) for backend in backends)
    if not any(backend.available for backend in backends):
        yield Finding(
            "fatal", "backends", "none can run here", "install one, e.g. pip install 'gdws-agent[onnxruntime]'"
        )


def check_sensors(sensors: Sequence[Availability], on_jetson: bool) -> Iterator[Finding]:
    """List what can measure power; a Jetson where nothing can is warned with each reason.

    With them come the names of the board's power modes, where a sensor knows them.
    """
    named = [sensor for sensor in sensors if sensor.name != NO_SENSOR]
    missed = on_jetson and not any(sensor.available for sensor in named)
    yield from (_describe("power sensor", sensor, unavailable="warning" if missed else "note") for sensor in named)
    modes = next((sensor.detail["power_modes"] for sensor in named if "power_modes" in sensor.detail), None)
    if modes is not None:
        yield Finding("ok", "power modes", modes)


def _describe(kind: str, item: Availability, unavailable: Level = "note") -> Finding:
    subject = f"{kind} {item.name}"
    if item.available:
        return Finding("ok", subject, item.version or "available")
    return Finding(unavailable, subject, item.reason or "not available")


def _parse_version(text: str) -> Tuple[int, ...]:
    """Return the leading numbers of a version, e.g. (8, 5, 2) of ``8.5.2.2-1+cuda11.4``."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _join(numbers: Sequence[int]) -> str:
    """Return ``numbers`` as ``1, 2 or 3``."""
    words = [str(number) for number in numbers]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


if __name__ == "__main__":
    sys.exit(0 if report() else 1)
