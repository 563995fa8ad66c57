"""The client of the agent on this machine, over loopback: its identity, its jobs, and the lease of its device.

A first run measures with workers of its own. While an agent serves here, it holds that agent's lease, so that no job
starts meanwhile; it does not interrupt a running job.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

from pydantic import ValidationError

from gdws_agent.api.access import TOKEN_FILE, given_tokens
from gdws_agent.periodic import Periodic
from gdws_agent.settings import Settings
from gdws_contract.queueing import LEASE_HEADER, Lease
from gdws_contract.rest import Health, Queue

_TIMEOUT_S = 10.0
_LEASE_S = 120.0
_RENEW_S = 30.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class AgentUnreachable(Exception):
    """No agent answers there."""


class AgentRefused(Exception):
    """The agent answered with an error; ``status`` is that of HTTP."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class AgentLink:
    """Requests to the agent with these settings; ``token`` goes with each."""

    def __init__(self, settings: Settings, token: Optional[str] = None) -> None:
        self._host = _EVERYWHERE.get(settings.host, settings.host)
        self._port = settings.port
        self._token = token

    @property
    def place(self) -> str:
        """The address, e.g. ``127.0.0.1:8000``."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    def health(self) -> Optional[Health]:
        """Return its health, or None where it refuses the token.

        Raises:
            AgentUnreachable: nothing answers, or something that is not an agent.
        """
        try:
            answer = self._ask("GET", "/healthz")
        except AgentRefused as error:
            if error.status == 401:
                return None
            raise AgentUnreachable(f"what answers at {self.place} is no agent: {error}") from error
        if not isinstance(answer, dict) or answer.get("status") != "ok":
            raise AgentUnreachable(f"what answers at {self.place} is no agent")
        try:
            return Health.model_validate(answer)
        except ValidationError:
            return None

    def queue(self) -> Queue:
        """Return its running job and the next ones. Raises AgentUnreachable, AgentRefused."""
        return Queue.model_validate(self._ask("GET", "/queue"))

    @contextlib.contextmanager
    def holding_device(self) -> Iterator[None]:
        """Hold the agent's lease within, and renew it.

        Raises:
            AgentRefused: somebody else holds it, or the token does not allow it. AgentUnreachable.
        """
        wish = {"holder": "first-run", "ttl_s": _LEASE_S, "note": "gdws-agent first-run measures"}
        lease = Lease.model_validate(self._ask("POST", "/lease", wish))
        header = {LEASE_HEADER: lease.id}
        renewing = Periodic(lambda: self._ask("PUT", "/lease", headers=header), _RENEW_S, "first-run lease")
        renewing.start()
        try:
            yield
        finally:
            renewing.stop()
            with contextlib.suppress(AgentUnreachable, AgentRefused):  # it ends by itself
                self._ask("DELETE", "/lease", headers=header)

    def _ask(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, headers: Mapping[str, str] = {}
    ) -> Any:
        """Return the JSON of the answer, None where it has no body."""
        sent = dict(headers)
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            text = response.read()
            answer = json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AgentUnreachable(f"no agent answers at {self.place}: {reason}") from error
        finally:
            connection.close()
        if response.status >= 400:
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise AgentRefused(response.status, str(detail or response.reason))
        return answer


def token_path(settings: Settings) -> Path:
    """Return the file of the full token that the agent created."""
    return settings.data_dir / TOKEN_FILE


def find_token(settings: Settings, environment: Mapping[str, str] = os.environ) -> Optional[str]:
    """Return the full token that this process may use: the given one, else the kept one; None where there is none.

    Raises:
        SettingsInvalid: a given one is wrong. OSError: the kept one may not be read.
    """
    given = given_tokens(settings, environment).get("full")
    if given is not None:
        return given
    try:
        return token_path(settings).read_text(encoding="ascii", errors="replace").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
