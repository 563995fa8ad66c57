"""The surroundings of a worker: a private empty folder, and an environment without secrets."""

from __future__ import annotations

import re
import shutil
import site
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, Mapping

#: Variables whose names suggest secrets, and those that point to folders of the user.
_LEFT_OUT = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|KEY$|^AWS_|AUTH|^XDG_|^GDWS_", re.IGNORECASE)


@contextmanager
def own_folder(data_dir: Path) -> Iterator[Path]:
    """An empty folder, which is removed with its contents on exit.

    Raises:
        OSError: it cannot be made.
    """
    parent = data_dir.absolute() / "scratch"
    parent.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="worker-", dir=str(parent)))
    try:
        yield folder
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def worker_environment(environment: Mapping[str, str], folder: Path, cache_dir: Path) -> Dict[str, str]:
    """Return ``environment`` for a worker whose home and place for temporary files is ``folder``.

    Packages that are installed for the user alone are found all the same, and CUDA keeps the kernels that it compiles
    beside the engines, unless it is told where.
    """
    kept = {name: value for name, value in environment.items() if not _LEFT_OUT.search(name)}
    return {
        "CUDA_CACHE_PATH": str(cache_dir / "cuda"),
        **kept,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONUSERBASE": site.getuserbase(),
    }
