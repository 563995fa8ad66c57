"""Taking and renewing leases of a device."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator

from gdws.device.client import DeviceClient
from gdws.device.versions import SHARING, require_revision
from gdws.errors import DeviceError, DeviceRefused
from gdws_contract.queueing import Lease

_CONFLICT = 409


def default_holder() -> str:
    """The default name of a lease's holder: user and machine."""
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or "somebody"
    text = "".join(letter for letter in f"{user}@{platform.node()}" if letter.isprintable())
    return text[:100]


def take_lease(
    device: DeviceClient,
    holder: str,
    ttl_s: float,
    note: str | None = None,
    *,
    wait_s: float = 0.0,
    on_wait: Callable[[DeviceRefused], None] | None = None,
    interval_s: float = 2.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Lease:
    """Take the lease of ``device``, waiting up to ``wait_s`` seconds for the current holder.

    ``on_wait`` is called once with the reason. Raises :class:`DeviceRefused` if the lease is still held then.
    """
    began_s = clock()
    while True:
        try:
            return device.take_lease(holder, ttl_s, note)
        except DeviceRefused as error:
            if error.status != _CONFLICT or clock() - began_s >= wait_s:
                raise
            if on_wait is not None:
                on_wait(error)
                on_wait = None
        sleep(interval_s)


@contextlib.contextmanager
def renewing(device: DeviceClient, lease_id: str | None) -> Iterator[None]:
    """Renew a lease, if there is one, within the context.

    It is renewed at once, which raises :class:`DeviceRefused` if it is not in force. Later failures are ignored: the
    network may come back in time, and if not, the requests under the lease fail.
    """
    if lease_id is None:
        yield
        return
    require_revision(device.check(), SHARING, "leases", device.url)
    lease = device.renew_lease(lease_id)
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(lease.ttl_s / 3):
            with contextlib.suppress(DeviceError):
                device.renew_lease(lease_id)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
