"""A PostgreSQL server of one's own, on a local socket."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Where Debian puts the server's programs, which are not on the PATH there.
_DEBIAN = "/usr/lib/postgresql/*/bin"
#: PostgreSQL does not run as root; Debian's package makes this user.
_USER = "postgres"


def missing_postgres() -> str | None:
    """Why no server can be started here; None if one can."""
    if _program("initdb") is None or _program("postgres") is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if os.geteuid() == 0 and not _exists(_USER):
        return f"PostgreSQL does not run as root, and there is no user {_USER}"
    return None


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty database, whose server ends with the context."""
    with tempfile.TemporaryDirectory(prefix="gdws-pg-") as name:
        folder = Path(name)
        data = folder / "data"
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = {"user": _USER, "group": _USER, "extra_groups": []}
            shutil.chown(folder, _USER, _USER)
        else:
            folder.chmod(0o700)
        run = {"check": True, "capture_output": True, "cwd": folder, **who}
        initdb, server = _program("initdb"), _program("postgres")
        assert initdb is not None
        assert server is not None
        subprocess.run([initdb, "-D", str(data), "-U", _USER, "-A", "trust", "--no-sync"], **run)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "-D", str(data), "-k", str(folder), "-c", "listen_addresses="],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=folder,
                **who,
            )
        try:
            _wait_until_ready(folder, process)
            yield f"postgresql://{_USER}@/{_USER}?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # SIGTERM waits for clients
            process.wait()


def _wait_until_ready(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the server takes connections."""
    import psycopg

    while True:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(f"postgresql://{_USER}@/{_USER}?host={folder}", connect_timeout=5).close()
        except psycopg.OperationalError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        else:
            return


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _program(name: str) -> str | None:
    """The newest program of that name, on the PATH or where Debian puts it."""
    found = sorted(Path("/").glob(f"{_DEBIAN[1:]}/{name}"), key=lambda path: int(path.parent.parent.name))
    return str(found[-1]) if found else shutil.which(name)
