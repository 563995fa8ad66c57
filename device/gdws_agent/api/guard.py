"""Middleware before every route: authentication, and protection against misled browsers.

Pages of other sites can make a browser send requests to an agent that only it can reach. Two checks stop them.
A request that changes something must come from the agent's own pages, if it comes from a page at all (``Origin``).
An agent without tokens answers under names that no stranger can own: IP addresses, ``localhost``, and names without
a dot or of the local network. So a name that was bound to its address for the purpose (DNS rebinding) is of no use.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import Dict, FrozenSet, Optional
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gdws_agent.errors import (
    AccessRefused,
    HostForeign,
    OriginForeign,
    ReadOnlyToken,
    TokenNeeded,
    TokenUnknown,
    TooManyAttempts,
    problem_of,
)

from .access import Access, Role
from .responses import error_response, request_line
from .sign_in_attempts import Attempts

_LOG = logging.getLogger(__name__)

#: Safe methods, the only ones that a read-only token allows.
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Paths without a token: health, and what is the same for every agent of a release.
OPEN_PATHS = frozenset({"/healthz", "/openapi.json", "/docs", "/docs.css", "/"})
#: Below it are the dashboard's scripts and styles.
_OPEN_FOLDER = "/dashboard/"

#: Ends of names that only a local network gives out (RFC 6761, 6762, 8375, and ICANN's private-use domain).
_LOCAL_ENDS = (".localhost", ".local", ".internal", ".home.arpa", ".lan")
_HOW = (
    "send 'Authorization: Bearer TOKEN'; gdws takes it from GDWS_TOKEN or --token. The agent printed it at its first "
    "start and keeps it in its data folder"
)


class Guard:
    """Passes authorised requests on, and responds to others with a problem document.

    Routes find what the request may in :func:`role_in`.
    """

    def __init__(self, app: ASGIApp, access: Access, attempts: Optional[Attempts] = None) -> None:
        self._app = app
        self._access = access
        self._attempts = attempts or Attempts()
        self._own_names = _own_names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _wanted_headers(scope)
        try:
            role = self._judge(scope, headers)
        except AccessRefused as error:
            about = (request_line(scope), _address(scope), error.message)
            kind = {"kind": f"refused: {problem_of(error).code}"}
            _LOG.log(_level(error), "%s from %s refused: %s", *about, extra=kind)
            await error_response(error, _challenge(error))(scope, receive, send)
            return
        scope.setdefault("state", {})["role"] = role
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope, headers: Dict[bytes, bytes]) -> Optional[Role]:
        """Return what the request may; None for one that may only see what is open. Raises AccessRefused."""
        host = headers.get(b"host", b"").decode("latin-1")
        is_safe = scope["method"] in _SAFE_METHODS
        if self._access.is_open and not self._is_ours(host):
            raise HostForeign(
                f"no agent of the name {host[:100]!r} is here",
                hint="use its IP address or localhost; with an access token set, any name works",
            )
        origin = headers.get(b"origin")
        if not is_safe and origin is not None and not _is_same(origin.decode("latin-1"), host):
            raise OriginForeign("pages of other sites must not change anything here", field="origin")
        authorization = headers.get(b"authorization")
        role = self._access.role_of(authorization)
        if role is None and not (is_safe and is_open(scope["path"])):
            raise self._refusal(scope, authorization)
        if role == "read-only" and not is_safe:
            raise ReadOnlyToken(
                f"the read-only token does not allow {scope['method']}", hint="use the token for full access"
            )
        return role

    def _refusal(self, scope: Scope, authorization: Optional[bytes]) -> AccessRefused:
        if authorization is None:
            return TokenNeeded("this agent needs an access token", hint=_HOW)
        wait_s = self._attempts.count(_address(scope))
        if wait_s > 0:
            return TooManyAttempts("too many wrong tokens came from this address", retry_after_s=wait_s)
        return TokenUnknown("the access token is not valid for this agent", hint=_HOW)

    def _is_ours(self, host: str) -> bool:
        name = _name_in(host)
        return name in self._own_names or is_unownable(name)


def role_in(request: Request) -> Optional[Role]:
    """Return what the sender of ``request`` may do; None for one without a token at an agent that needs one."""
    role: Optional[Role] = getattr(request.state, "role", None)
    return role


def is_open(path: str) -> bool:
    """Return whether ``path`` is answered without a token."""
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def is_unownable(name: str) -> bool:
    """Return whether ``name`` is no domain that a stranger could own: an address, or a name of the local network."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_LOCAL_ENDS))
    return True


def _own_names() -> FrozenSet[str]:
    return frozenset({socket.gethostname().lower()})


def _name_in(host: str) -> str:
    """Return the name or address in a ``Host`` header, without the port and the dot at its end."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return ""
    return (name or "").rstrip(".")


def _is_same(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _wanted_headers(scope: Scope) -> Dict[bytes, bytes]:
    return {name: value for name, value in scope["headers"] if name in (b"host", b"origin", b"authorization")}


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


def _level(error: AccessRefused) -> int:
    """Return the level of the log line; past the limit on attempts lines would be another way to do harm."""
    return logging.DEBUG if isinstance(error, (TooManyAttempts, TokenNeeded)) else logging.WARNING


def _challenge(error: AccessRefused) -> Dict[str, str]:
    challenge = 'Bearer realm="gdws-agent"'
    if isinstance(error, TokenNeeded):
        return {"WWW-Authenticate": challenge}
    if isinstance(error, TokenUnknown):
        return {"WWW-Authenticate": challenge + ', error="invalid_token"'}
    if isinstance(error, ReadOnlyToken):
        return {"WWW-Authenticate": challenge + ', error="insufficient_scope"'}
    return {}
