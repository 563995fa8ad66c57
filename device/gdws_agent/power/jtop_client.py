"""A client of the jtop service of jetson-stats; the only module that imports jetson-stats (AGPL-3.0, optional).

The service runs on the host, as root, and talks to its clients through a socket that belongs to group
``jtop``. What goes wrong in between is turned into :class:`JtopFailed`, which says how to mend it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
import threading
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

DEFAULT_SOCKET = Path("/run/jtop.sock")
#: Where the socket is when the host's /run is mounted elsewhere.
SOCKET_VARIABLE = "GDWS_AGENT_JTOP_SOCKET"
#: The author of jetson-stats advises no less; 0.1 s failed on an AGX Xavier.
INTERVAL_S = 0.5
#: The service answers within its interval; a hung one never does.
ANSWER_TIMEOUT_S = 10.0

RESTART = "on the host: sudo systemctl restart jtop.service"
_VERSIONS = re.compile(r"\[(?P<service>[^\]]*)\].*\[(?P<client>[^\]]*)\]")


class JtopFailed(Exception):
    """The service cannot be used; the message says why, ``hint`` how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


def socket_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the socket of the service is expected."""
    return Path(environment.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)


def installed_version() -> Optional[str]:
    """Return the version of jetson-stats here, or None without it; nothing is imported."""
    if importlib.util.find_spec("jtop") is None:
        return None
    try:
        return metadata.version("jetson-stats")
    except metadata.PackageNotFoundError:
        return None


def check_installed() -> str:
    """Return the version of jetson-stats here.

    Raises:
        JtopFailed: it is not installed.
    """
    version = installed_version()
    if version is None:
        raise JtopFailed(
            "jetson-stats is not installed here",
            'install the version that the host has: pip install "jetson-stats~=X.Y.0"',
        )
    return version


def check_socket(path: Path) -> None:
    """Look at the socket without connecting.

    Raises:
        JtopFailed: it is not there, is not a socket, or is closed to this user.
    """
    try:
        status = path.stat()
    except PermissionError as error:
        raise JtopFailed(f"the folder of {path} is closed to this user", "open it, or mount /run elsewhere") from error
    except OSError as error:
        raise JtopFailed(
            f"there is no jtop service: {path} does not exist",
            f"{RESTART}; in a container, mount the host's /run at another place and set {SOCKET_VARIABLE}",
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise JtopFailed(
            f"{path} is a folder, which Docker makes when the socket is not there at start",
            f"remove it, {RESTART}, and start the container again",
        )
    if not stat.S_ISSOCK(status.st_mode):
        raise JtopFailed(f"{path} is not a socket", f"remove it, and {RESTART}")
    if not os.access(str(path), os.R_OK | os.W_OK):
        raise JtopFailed(
            f"{path} is closed to this user, who is not in group {status.st_gid}",
            f'give the container that group (group_add: ["{status.st_gid}"]), or: sudo usermod -aG jtop $USER',
        )


def connect(path: Path, on_beat: Callable[[Any], None], timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
    """Return a started ``jtop.jtop`` client; ``on_beat`` is called with it in its thread when the service has read.

    Give it back with :func:`disconnect`. A process should have one at a time, and a host too: clients take each
    other's beats away.

    Raises:
        JtopFailed: there is no connection.
    """
    check_installed()
    check_socket(path)
    attempt = _Attempt(path, on_beat)
    attempt.start()
    attempt.join(timeout_s)
    return attempt.outcome(timeout_s)


def disconnect(client: Any) -> None:
    """End the client's thread; it may outlive the call by one interval of the service."""
    client.close()


class _Attempt(threading.Thread):
    """Connects in a thread, because jetson-stats waits for a hung service for ever."""

    def __init__(self, path: Path, on_beat: Callable[[Any], None]) -> None:
        super().__init__(name="jtop-connect", daemon=True)
        self._path = path
        self._on_beat = on_beat
        self._client: Any = None
        self._error: Optional[Exception] = None
        self._lock = threading.Lock()
        self._abandoned = False

    def run(self) -> None:
        try:
            client = make_client(self._path)
            client.attach(self._on_beat)
            client.start()
        except Exception as error:
            self._error = error
            return
        with self._lock:
            self._client = client
            if self._abandoned:
                disconnect(client)

    def outcome(self, timeout_s: float) -> Any:
        with self._lock:
            if self._error is not None:
                raise explain(self._error, self._path) from self._error
            if self._client is not None:
                return self._client
            self._abandoned = True
        raise JtopFailed(f"the jtop service at {self._path} did not answer within {timeout_s:g} s", RESTART)


def make_client(path: Path) -> Any:
    """Return a ``jtop.jtop`` client of the service at ``path``, not yet started."""
    from jtop import jtop
    from jtop.service import JtopManager

    class Manager(JtopManager):  # type: ignore[misc]
        """jetson-stats knows one path for its socket; the manager's address is where it is put to use."""

        def __init__(self) -> None:
            super().__init__()
            self._address = str(path)

    class Client(jtop):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(INTERVAL_S)
            self._broadcaster = Manager()

        def _load_jetson_libraries(self) -> None:
            """Leave out the search for installed libraries: it starts programs that would disturb what is measured."""

    return Client()


def explain(error: Exception, path: Path) -> JtopFailed:
    """Return what ``error``, raised while connecting to ``path``, means and how to mend it."""
    text = words(error)
    if isinstance(error, ImportError):
        return JtopFailed(
            f"jetson-stats does not load: {text}", "install it again: pip install --force-reinstall jetson-stats"
        )
    versions = _VERSIONS.search(text) if "Mismatch version" in text else None
    if versions:
        service, client = versions.group("service"), versions.group("client")
        return JtopFailed(
            f"the host's jtop service is of jetson-stats {service}, the client here of {client}",
            f'install the same here: pip install "{requirement(service)}"',
        )
    if "Mismatch of Python versions" in text:
        return JtopFailed(
            "the jtop service runs under a Python too different from this one", "use an image of the host's JetPack"
        )
    if "Authentication" in text:
        return JtopFailed(
            "the jtop service did not accept this client", "install the host's version of jetson-stats here"
        )
    if "can't access" in text or isinstance(error, PermissionError):
        return JtopFailed(f"{path} is closed to this user", "put the user into group jtop of the host")
    if "not active" in text or isinstance(error, (ConnectionError, EOFError, FileNotFoundError)):
        return JtopFailed(
            f"no jtop service listens at {path}",
            f"{RESTART}; in a container that mounts the socket alone, start the container again or mount the host's "
            f"/run at another place and set {SOCKET_VARIABLE}: the mount keeps the socket of the service before",
        )
    return JtopFailed(f"the jtop service at {path} cannot be used: {text}", RESTART)


def words(error: Exception) -> str:
    """Return the text of ``error`` on one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def requirement(service_version: str) -> str:
    """Return what pip must install to suit the service: the same release before 4.3.0, major.minor from then on."""
    parts = re.findall(r"\d+", service_version)[:3]
    if len(parts) < 2:
        return "jetson-stats"
    if [int(part) for part in parts] < [4, 3]:
        return f"jetson-stats=={service_version}"
    return f"jetson-stats~={parts[0]}.{parts[1]}.0"
