"""Sends an agent requests made from its OpenAPI document, good and bad: no 5xx, no answer that is not documented.

    python tests/e2e/fuzz_api.py [--cases 5000] [--seed 0]

The agent is a real process whose worker measures nothing. Half of the cases obey the document, half break it;
half name a bundle and a job that are there. Each answer must have a status that its route documents, or one that any
route may give, and a body of the documented type and schema. Exit status: 0 nothing found, 1 something was.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from schemathesis import checks as server_checks
from schemathesis import openapi
from schemathesis.checks import FailureGroup
from schemathesis.specs.openapi import checks

from support.agent_process import AgentProcess, running_agent
from support.agents import FakeWorker
from support.bundles import tiny_bundle

#: Any route may give these: no access, no such route or method, a body too slow or too large, and so on.
COMMON = frozenset({401, 403, 404, 405, 408, 413, 421, 422, 429, 431})
_TIMEOUT_S = 30.0
_LONGEST_WAIT_S = 0.05
_CHECKS = [
    server_checks.not_a_server_error,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


class Fuzzer:
    """Sends cases to one agent and counts what came of them."""

    def __init__(self, agent: AgentProcess, bundle: bytes, seed: int) -> None:
        self._url = agent.url
        self._random = random.Random(seed)
        self._seed = seed
        self._bundle = bundle
        self._model_id = self._put_back()
        body = {"model_id": self._model_id}
        self._job_id: str = agent.client.post("/benchmark", json=body).raise_for_status().json()["id"]
        self._schema = openapi.from_url(f"{agent.url}/openapi.json")
        self._session = requests.Session()
        self._session.trust_env = False
        self.statuses: collections.Counter[tuple[str, int]] = collections.Counter()
        #: What was found -> one request that shows it.
        self.findings: dict[str, str] = {}

    def run(self, cases: int) -> None:
        """Send at least ``cases`` cases, as many to each operation that has so many different ones."""
        operations = [result.ok() for result in self._schema.get_all_operations()]
        modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
        while self.count() < cases:
            share = -(-(cases - self.count()) // (len(operations) * len(modes)))
            for operation in operations:
                for mode in modes if _can_be_broken(operation) else modes[:1]:
                    self._run_operation(operation, mode, share)
            self._seed += 1_000_003  # those that can have more get others

    def count(self) -> int:
        """Return how many cases were answered."""
        return sum(self.statuses.values())

    def _run_operation(self, operation: Any, mode: Any, cases: int) -> None:
        label = f"{operation.method.upper()} {operation.path}"

        # Nothing is shrunk: a case is shown as it was, and the agent has changed since.
        @seeded(self._seed)
        @settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self._send(label, operation, case)

        send()

    def _send(self, label: str, operation: Any, case: Any) -> None:
        self._aim(case)
        try:
            response = case.call(session=self._session, timeout=_TIMEOUT_S)
        except requests.RequestException as error:
            self._find(f"{label}: no answer, {type(error).__name__}", case)
            self.statuses[label, 0] += 1
            return
        status = response.status_code
        self.statuses[label, status] += 1
        if str(status) not in operation.definition.raw.get("responses", {}) and status not in COMMON:
            self._find(f"{label}: undocumented status {status}", case)
        try:
            case.validate_response(response, checks=_CHECKS)
        except FailureGroup as group:
            for each in group.exceptions:
                self._find(f"{label}: {status}: {str(each).strip().splitlines()[0]}", case)
        if label.startswith("DELETE /models") and status == 204:
            self._put_back()

    def _aim(self, case: Any) -> None:
        """Have half of the cases name what is there, and none wait for long."""
        wait = (case.query or {}).get("wait")
        if isinstance(wait, (int, float)) and wait > _LONGEST_WAIT_S:
            case.query["wait"] = _LONGEST_WAIT_S
        if self._random.random() < 0.5:
            return
        known = {"model_id": self._model_id, "job_id": self._job_id}
        for name in set(known) & set(case.path_parameters or {}):
            case.path_parameters[name] = known[name]
        if isinstance(case.body, dict) and "model_id" in case.body:
            case.body["model_id"] = self._model_id

    def _put_back(self) -> str:
        answer = requests.post(f"{self._url}/models", data=self._bundle, timeout=_TIMEOUT_S)
        model_id: str = answer.json()["id"]
        return model_id

    def _find(self, what: str, case: Any) -> None:
        self.findings.setdefault(what, case.as_curl_command())


def _can_be_broken(operation: Any) -> bool:
    """Return whether a request can break what the document says: whether there is a parameter or a body."""
    return bool(list(operation.iter_parameters()) or operation.body)


def fuzz(folder: Path, cases: int, seed: int, tell: Callable[[str], None]) -> dict[str, str]:
    """Start an agent in ``folder``, send it about ``cases`` cases, and return what was found with a case for each."""
    bundle = tiny_bundle(folder / "tiny.gdws", net="linear").read_bytes()
    with running_agent(folder / "data", FakeWorker(folder / "worker"), "--max-upload-mb", "2") as agent:
        fuzzer = Fuzzer(agent, bundle, seed)
        fuzzer.run(cases)
        if agent.process.poll() is not None:
            fuzzer.findings["the agent died"] = ""
        log = agent.log.read_text()
    if "Traceback" in log:
        fuzzer.findings["the agent's log has a traceback"] = log[log.index("Traceback") :][:3_000]
    tell(f"{fuzzer.count()} cases of seed {seed}")
    for (label, status), count in sorted(fuzzer.statuses.items()):
        tell(f"  {label}: {status} {count} times")
    for what, example in fuzzer.findings.items():
        tell(f"FOUND {what}\n      {example[:1_000]}")
    tell(f"{len(fuzzer.findings)} findings")
    return fuzzer.findings


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        findings = fuzz(Path(folder), options.cases, options.seed, print)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
