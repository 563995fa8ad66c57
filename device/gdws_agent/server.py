"""The server process: its socket, its signals, and the message to its parent that it is ready."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import BinaryIO, Callable, List, Optional

import uvicorn

from gdws_agent.api.access import Access
from gdws_agent.api.app import create_app
from gdws_agent.api.connections import Places
from gdws_agent.api.job_events import JobSubscribers
from gdws_agent.api.protocol import PatientProtocol
from gdws_agent.descriptors import connection_limit
from gdws_agent.errors import AddressUnusable
from gdws_agent.service import Service

#: Grace period for running requests when the agent stops.
_GRACE_S = 3
#: Maximum size of a request's head; curl's is a few hundred bytes.
_MAX_HEAD_BYTES = 16_384
#: Connections that the kernel keeps until they are accepted, and those accepted in one turn of the event loop, so that
#: answers wait for few of them. Where no descriptor is left, asyncio tries and logs so often in a turn, too.
_PENDING = 1_024
_ACCEPTED_AT_ONCE = 64
#: Interpreter switch interval: the event loop needs the interpreter several times for each response.
_SWITCH_S = 0.001
#: Niceness of the server relative to measuring processes, which have the agent's original priority.
_SERVER_NICENESS = 5
_LEAST_PRIORITY = 19


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host`` and ``port``; port 0 takes a free one.

    Raises:
        AddressUnusable: the port is in use, or the host is not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise AddressUnusable(f"cannot listen on {host!r}: {error}", hint="give --host 127.0.0.1") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressUnusable(f"port {port} of {host} is in use", hint="give --port, or --port 0") from error
        raise AddressUnusable(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address at which clients reach ``listener``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    service: Service,
    listener: socket.socket,
    access: Access,
    *,
    on_ready: Callable[[], None],
    parent: Optional[BinaryIO],
) -> None:
    """Serve until SIGTERM, SIGINT, or the end of ``parent``, a pipe kept open by the parent process."""
    sys.setswitchinterval(_SWITCH_S)
    subscribers = JobSubscribers(service.jobs)

    class Protocol(PatientProtocol):
        places = Places(connection_limit())

    config = uvicorn.Config(
        create_app(service, access, subscribers),
        loop="asyncio",
        http=Protocol,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        backlog=_ACCEPTED_AT_ONCE,
        proxy_headers=False,  # anybody could write them
        server_header=False,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, service, subscribers, on_ready)
    # Where the server hands a signal on after a clean stop, the process is to end well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_well)
    if parent is not None:
        threading.Thread(target=_watch, args=(parent, server), name="parent", daemon=True).start()
    server.run(sockets=[listener])


def announce(url: str) -> None:
    """Tell the parent process on standard output, in one line of JSON, where this agent listens."""
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


class _Server(uvicorn.Server):
    """A server that reports when it is ready, and completes long polls before it waits for requests on shutdown."""

    def __init__(
        self, config: uvicorn.Config, service: Service, subscribers: JobSubscribers, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._subscribers = subscribers
        self._on_ready = on_ready

    async def startup(self, sockets: Optional[List[socket.socket]] = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_PENDING)  # asyncio has but one number for both
        make_way()
        gc.freeze()  # what is there now stays: collections that walk through it would hold up answers
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: Optional[List[socket.socket]] = None) -> None:
        self._service.jobs.release_waiters()
        self._subscribers.close()
        await super().shutdown(sockets)


def make_way() -> None:
    """Lower the priority of this thread, and of threads that it starts, below measuring processes. Linux only.

    There priorities are those of threads. That of the queue is older, so the workers that it starts keep theirs.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, min(_LEAST_PRIORITY, os.getpriority(os.PRIO_PROCESS, 0) + _SERVER_NICENESS))


def _exit_well(number: int, frame: Optional[FrameType]) -> None:
    raise SystemExit(0)


def _watch(parent: BinaryIO, server: uvicorn.Server) -> None:
    while parent.read(4_096):
        pass
    server.should_exit = True
