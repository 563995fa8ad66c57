"""CPU limits of this process's control groups, of version 1, 2 or both, inside or outside of a container.

A group is held to its own limit and to those of all groups above it, as far up as they can be seen from here.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Iterator, List, NamedTuple, Optional

#: Default mount points, if the list of mounts is not available.
_UNIFIED = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_LEGACY = "sys/fs/cgroup"


class _Hierarchy(NamedTuple):
    """One tree of groups: its ``folder``, the group that is seen there, and the ``controllers`` of version 1."""

    folder: Path
    seen: PurePosixPath
    controllers: Optional[List[str]]


def quota_cores(root: Path) -> Optional[float]:
    """Return how many cores' worth of time the process may use; None without a quota.

    ``root`` is the system's root folder. Quotas are what ``docker run --cpus`` and systemd's ``CPUQuota`` set.
    """
    quotas = [_quota(folder) for folder in _folders(root, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


def cpuset_cores(root: Path) -> Optional[int]:
    """Return how many logical cores the process may run on, as ``docker run --cpuset-cpus`` sets; None if any."""
    names = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
    counts = [_count(_read(folder / name)) for folder in _folders(root, "cpuset") for name in names]
    return min((count for count in counts if count is not None), default=None)


def _quota(folder: Path) -> Optional[float]:
    fields = (_read(folder / "cpu.max") or "").split()
    if len(fields) != 2:
        fields = [_read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    if not all(field.isdigit() and int(field) for field in fields):  # "max" and -1 are no limit
        return None
    return int(fields[0]) / int(fields[1])


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the process's groups, and of those above them, in each hierarchy with ``controller``."""
    for hierarchy in [*_mounted(root)] or [*_usual(root, controller)]:
        if hierarchy.controllers is not None and controller not in hierarchy.controllers:
            continue
        yield hierarchy.folder
        group = _below(hierarchy.seen, _group(root, None if hierarchy.controllers is None else controller))
        for depth in range(1, len(group.parts) + 1):
            yield hierarchy.folder.joinpath(*group.parts[:depth])


def _group(root: Path, controller: Optional[str]) -> PurePosixPath:
    """Return the path of the process's group in the hierarchy of ``controller``; None is version 2's."""
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(",") if controller else (number, controllers) == ("0", ""):
            return PurePosixPath(path)
    return PurePosixPath("/")


def _below(seen: PurePosixPath, group: PurePosixPath) -> PurePosixPath:
    """Return ``group`` from the group that is ``seen`` at the mount; that itself where the group lies elsewhere."""
    try:
        inner = group.relative_to(seen)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in inner.parts else inner


def _mounted(root: Path) -> Iterator[_Hierarchy]:
    """Yield the hierarchies in the list of mounts: ``ID PARENT DEVICE SEEN FOLDER ... - KIND SOURCE OPTIONS``."""
    for line in (_read(root / "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = kind[2].split(",") if kind[0] == "cgroup" else None
        yield _Hierarchy(root / fields[4].lstrip("/"), PurePosixPath(fields[3]), controllers)


def _usual(root: Path, controller: str) -> Iterator[_Hierarchy]:
    for place in _UNIFIED:
        yield _Hierarchy(root / place, PurePosixPath("/"), None)
    for folder in sorted((root / _LEGACY).glob("*")):
        controllers = folder.name.split(",")
        if controller in controllers:
            yield _Hierarchy(folder, PurePosixPath("/"), controllers)


def _count(cpus: Optional[str]) -> Optional[int]:
    """Return how many numbers a list such as ``0-3,6`` has; None for none."""
    total = 0
    for part in (cpus or "").split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            return None
        total += int(last or first) - int(first) + 1
    return total or None


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
