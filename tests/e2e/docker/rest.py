"""The agent's REST interface, called as a user would call it with curl."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console import Failed


class Rest:
    """The agent at ``address``; no proxy comes between."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._opener.addheaders = [("Authorization", f"Bearer {token}")]

    def get(self, path: str, timeout_s: float = 30.0) -> Any:
        """Return the answer of ``GET path``."""
        return self._send(urllib.request.Request(self.address + path), timeout_s)

    def post(self, path: str, body: bytes, media_type: str, timeout_s: float = 30.0) -> Any:
        """Return the answer of ``POST path``."""
        request = urllib.request.Request(self.address + path, data=body, headers={"Content-Type": media_type})
        return self._send(request, timeout_s)

    def wait_until_up(self, timeout_s: float = 90.0) -> None:
        """Return when ``GET /healthz`` answers.

        Raises:
            Failed: it does not, in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self._is_up():
            if time.monotonic() > deadline:
                raise Failed(f"{self.address}/healthz does not answer within {timeout_s:.0f} s")
            time.sleep(0.5)

    def measure(self, bundle: Path, protocol: Mapping[str, float]) -> dict[str, Any]:
        """Upload ``bundle``, measure it with ``protocol`` and return the job when it has ended."""
        return self.wait_until_ended(self.begin(bundle, protocol))

    def begin(self, bundle: Path, protocol: Mapping[str, float]) -> str:
        """Upload ``bundle``, ask for its measurement with ``protocol`` and return the id of the job."""
        model = self.post("/models", bundle.read_bytes(), "application/octet-stream")
        order = json.dumps({"model_id": model["id"], "protocol": protocol}).encode()
        job_id: str = self.post("/benchmark", order, "application/json")["id"]
        return job_id

    def wait_until_measuring(self, job_id: str, timeout_s: float = 60.0) -> None:
        """Return when the job is in its measured rounds.

        Raises:
            Failed: it is not, in time.
        """
        deadline = time.monotonic() + timeout_s
        while (stage := self.get(f"/benchmark/{job_id}")["progress"]["stage"]) != "measure":
            if time.monotonic() > deadline:
                raise Failed(f"after {timeout_s:.0f} s the job is at the stage {stage!r}")
            time.sleep(0.2)

    def wait_until_ended(self, job_id: str) -> dict[str, Any]:
        """Return the job when it has ended."""
        job: dict[str, Any] = self.get(f"/benchmark/{job_id}?wait=300", timeout_s=330.0)
        return job

    def _is_up(self) -> bool:
        try:
            self.get("/healthz", timeout_s=5.0)
        except (OSError, Failed):
            return False
        return True

    def _send(self, request: urllib.request.Request, timeout_s: float) -> Any:
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failed(f"{request.get_method()} {request.full_url}: {error.code} {error.read().decode()}") from error
