"""Confinement of the measuring process before it reads a network, in case of a vulnerability in a runtime.

The runtimes need devices, libraries and the kernel's files, which lie elsewhere on every Jetson. So reading is not
allowed place by place but denied where secrets are: homes, the agent's data folder, keys of the machine. Writing is
denied everywhere but in the worker's own folder, the engine cache, and to devices.
"""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence, Set

import gdws_agent
import gdws_contract

from . import landlock
from .messages import WorkOrder
from .privileges import drop_capabilities, forbid_new_privileges

_LOG = logging.getLogger(__name__)

#: Where secrets of users and of the machine are, and its memory.
_PRIVATE = (
    *("/home", "/root", "/run/secrets", "/etc/ssh", "/etc/ssl/private", "/etc/shadow", "/etc/gshadow"),
    *("/dev/mem", "/dev/kmem", "/dev/port"),
)
_SYSTEM = ("/bin", "/sbin", "/lib", "/usr", "/etc", "/dev", "/proc", "/sys")
_MPS_FOLDER = "/tmp/nvidia-mps"


def confine(order: WorkOrder) -> Optional[int]:
    """Drop everything that measuring ``order`` does not need; return the version of landlock, None if not in force.

    The folder for temporary files becomes the working folder, and the only one besides the engine cache that can be
    written. To be called before another thread is started: those that run already are not bound by it.
    """
    os.umask(0o077)
    started_in, own = _working_folder(), tempfile.gettempdir()
    os.chdir(own)
    if sys.platform != "linux" or not order.confined:
        return None
    _make_gpu_devices()
    private = {os.path.realpath(path) for path in (*_PRIVATE, *_homes(), *_disks(), *order.private)}
    needed = [order.bundle_path, *(path for path in _libraries() if os.path.realpath(path) != started_in)]
    try:
        forbid_new_privileges()
        drop_capabilities()
        return landlock.restrict(
            readable=[*outside("/", private), *_beneath(needed, private)],
            writable=[*outside("/dev", private), own, order.cache_dir, *_gpu_folders()],
        )
    except OSError as error:
        _LOG.warning("this process keeps rights that it does not need: %s", error)
        return None


def outside(folder: str, private: Set[str]) -> Iterator[str]:
    """Yield paths that together hold all of ``folder`` but ``private`` and what lies beneath: the fewest there are.

    Links are left out: what they lead to is in some other path, or private.
    """
    folder = os.path.realpath(folder)
    if _covers(private, folder):
        return
    if not any(_is_beneath(path, folder) for path in private):
        yield folder
        return
    try:
        children = sorted(os.listdir(folder))
    except OSError:
        return
    for child in children:
        path = os.path.join(folder, child)
        if not os.path.islink(path):
            yield from outside(path, private)


def _beneath(needed: Iterable[str], private: Set[str]) -> List[str]:
    """Return the paths of ``needed`` within private folders, except those that contain private folders themselves."""
    found = {os.path.realpath(path) for path in needed if path}
    return sorted(path for path in found if _covers(private, path) and not any(_is_beneath(p, path) for p in private))


def _covers(folders: Iterable[str], path: str) -> bool:
    return any(_is_beneath(path, folder) for folder in folders)


def _is_beneath(path: str, folder: str) -> bool:
    """Return whether ``path`` is ``folder`` or in it; both are real paths."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _working_folder() -> Optional[str]:
    try:
        return os.getcwd()
    except OSError:  # it was removed since the agent was started there
        return None


def _homes() -> List[str]:
    """Return the home of this process's user; None if it is a system folder, as for some service users."""
    try:
        home = os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # the user of a container need not be known by name
        return []
    return [] if home == "/" or _covers(_SYSTEM, home) else [home]


def _disks() -> List[str]:
    """Return the devices from which files could be read past their permissions, by a user who may do that."""
    try:
        return [entry.path for entry in os.scandir("/dev") if stat.S_ISBLK(entry.stat(follow_symlinks=False).st_mode)]
    except OSError:
        return []


def _libraries() -> List[str]:
    """Return where Python, its packages and the libraries of the runtimes are, for they may be in somebody's home."""
    packages = [str(Path(module.__file__ or "").parent) for module in (gdws_agent, gdws_contract)]
    shared = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return [sys.prefix, sys.base_prefix, os.path.realpath(sys.executable), *sys.path, *packages, *shared]


def _gpu_folders() -> List[str]:
    """Return where CUDA keeps the kernels that it compiled, and where it meets its multi-process service."""
    folders = [os.environ.get("CUDA_CACHE_PATH", ""), os.environ.get("CUDA_MPS_PIPE_DIRECTORY", _MPS_FOLDER)]
    return [folder for folder in folders if folder]


def _make_gpu_devices(command: Sequence[str] = ("nvidia-modprobe", "-u", "-c", "0")) -> None:
    """Create the device nodes of an NVIDIA card, for which CUDA would need a set-user-id program."""
    if os.path.exists("/dev/nvidiactl") and not os.path.exists("/dev/nvidia-uvm") and shutil.which(command[0]):
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
