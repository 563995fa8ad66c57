"""Client of the agent's REST interface; requests and responses are models of the contract."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, ValidationError

from gdws.device.network_settings import network_settings_named
from gdws.device.versions import require_version
from gdws.errors import DeviceError, DeviceProtocolError, DeviceRefused, DeviceUnreachable
from gdws_contract.attacks import AttackRequest
from gdws_contract.parsing import first_fault
from gdws_contract.problems import Problem
from gdws_contract.profiles import ProfileRequest
from gdws_contract.queueing import IDEMPOTENCY_HEADER, LEASE_HEADER, Lease, LeaseInfo, LeaseRequest, LeaseState
from gdws_contract.rest import (
    FINAL_STATES,
    BenchmarkRequest,
    DeviceInfo,
    Health,
    Job,
    JobList,
    JobState,
    ModelInfo,
    ModelList,
    Queue,
)

#: What an agent can be asked to do with a stored bundle.
JobRequest = BenchmarkRequest | ProfileRequest | AttackRequest
#: Where each goes; all are followed and cancelled alike.
_PATHS = {BenchmarkRequest: "/benchmark", ProfileRequest: "/profile", AttackRequest: "/attack"}

_Answer = TypeVar("_Answer", bound=BaseModel)
_Page = TypeVar("_Page", ModelList, JobList)

CONNECT_TIMEOUT_S = 5.0
#: Read timeout of a response; storing a large bundle on a slow SD card takes a while.
ANSWER_TIMEOUT_S = 60.0
_BLOCK_BYTES = 1 << 18
#: Statuses that do not concern the bundle: access, rate limits, and agents that cannot serve at the moment.
_NOT_OF_THE_BUNDLE = frozenset({401, 403, 421, 429, 503})
EVENT_STREAM = "text/event-stream"


class DeviceClient:
    """One agent, at ``url``.

    ::

        with DeviceClient("http://jetson.local:8000") as device:
            device.check()
            model = device.upload(Path("model.gdws"))
            job = device.submit(BenchmarkRequest(model_id=model.id))
            for job in device.follow(job.id):
                print(job.progress)

    Each method raises :class:`DeviceUnreachable` if the agent does not answer, :class:`DeviceRefused` if it
    answers with a problem document, and :class:`DeviceProtocolError` if the server is not a compatible agent.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
        answer_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """``token`` is the access token that the agent requires, which is never shown or stored.

        An answer may take ``answer_s`` seconds.
        """
        self.url = address_of(url)
        headers = {"accept": "application/json, application/problem+json", **_authorization(token, self.url)}
        with network_settings_named(self.url):
            self._http = httpx.Client(
                base_url=self.url,
                timeout=httpx.Timeout(answer_s, connect=min(answer_s, CONNECT_TIMEOUT_S)),
                headers=headers,
                transport=transport,
                # A proxy for the internet cannot reach this machine's own loopback.
                trust_env=not _is_loopback(self.url),
            )

    def __enter__(self) -> DeviceClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def check(self) -> Health:
        """The agent's health, after checking that it supports this release's version of the interface."""
        try:
            health = self._get("/healthz", Health)
        except DeviceProtocolError:
            # Without a token, an agent that requires one answers with less; another request then raises the right
            # error.
            with suppress(DeviceProtocolError, DeviceUnreachable):
                self.device()
            raise
        require_version(health, self.url)
        return health

    def device(self) -> DeviceInfo:
        """The machine, and its backends and sensors."""
        return self._get("/device", DeviceInfo)

    def models(self) -> list[ModelInfo]:
        """The stored bundles, newest first, without their manifests."""
        return [model for page in self._pages("/models", ModelList) for model in page.models]

    def model(self, model_id: str) -> ModelInfo | None:
        """A stored bundle with its manifest; None if the agent does not have an intact copy."""
        try:
            return self._get(f"/models/{model_id}", ModelInfo)
        except DeviceRefused as error:
            if error.status in _NOT_OF_THE_BUNDLE:
                raise
            return None

    def upload(self, bundle: Path, progress: Callable[[int], None] | None = None) -> ModelInfo:
        """Upload a bundle; ``progress`` is called with the number of bytes of each block sent.

        A bundle that the agent has already is not stored again. Raises OSError if it cannot be read.
        """
        size = bundle.stat().st_size
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        return self._send("POST", "/models", ModelInfo, content=_blocks(bundle, progress), headers=headers)

    def delete_model(self, model_id: str) -> None:
        """Remove a stored bundle."""
        self._request("DELETE", f"/models/{model_id}")

    def submit(self, request: JobRequest, *, lease_id: str | None = None, key: str | None = None) -> Job:
        """Queue a benchmark of a stored bundle, a profile of one of its networks, or attacks on its engines.

        ``lease_id`` is the lease under which it is submitted. With ``key``, unique for each request, a broken
        connection is retried once without creating a second job. Agents of revision 0 support neither.
        """
        path = _PATHS[type(request)]
        headers = {LEASE_HEADER: lease_id, IDEMPOTENCY_HEADER: key}
        options = {"json": request.model_dump(mode="json"), "headers": {n: v for n, v in headers.items() if v}}
        try:
            return self._send("POST", path, Job, **options)
        except DeviceUnreachable:
            if key is None:
                raise
        return self._send("POST", path, Job, **options)

    def jobs(self, state: JobState | None = None) -> list[Job]:
        """All benchmarks, or those in one ``state``, newest first, without their cells."""
        params = {} if state is None else {"state": state}
        return [job for page in self._pages("/benchmark", JobList, **params) for job in page.jobs]

    def last_jobs(self, state: JobState, limit: int) -> list[Job]:
        """The last benchmarks in a ``state``, newest first, without their cells; at most ``limit``, up to 1000."""
        return self._get("/benchmark", JobList, state=state, limit=str(limit)).jobs

    def queue(self) -> Queue:
        """The running job, the queued jobs, and the current lease."""
        return self._get("/queue", Queue)

    def lease(self) -> LeaseInfo | None:
        """The current lease, if any."""
        return self._get("/lease", LeaseState).lease

    def take_lease(self, holder: str, ttl_s: float, note: str | None = None) -> Lease:
        """Take the lease; raises :class:`DeviceRefused` with status 409 while it is held."""
        fields = LeaseRequest(holder=holder, ttl_s=ttl_s, note=note).model_dump(mode="json")
        return self._send("POST", "/lease", Lease, json=fields)

    def renew_lease(self, lease_id: str) -> Lease:
        """Renew a lease; raises :class:`DeviceRefused` if it is not in force."""
        return self._send("PUT", "/lease", Lease, headers={LEASE_HEADER: lease_id})

    def release_lease(self, lease_id: str) -> None:
        """Release a lease; raises :class:`DeviceRefused` if it is not in force."""
        self._request("DELETE", "/lease", headers={LEASE_HEADER: lease_id})

    def force_release(self) -> None:
        """Release the lease, whoever holds it."""
        self._request("DELETE", "/lease", params={"force": "true"})

    def job(self, job_id: str) -> Job:
        """A benchmark with the cells finished so far."""
        return self._get(f"/benchmark/{job_id}", Job)

    def cancel(self, job_id: str) -> Job:
        """Request cancellation of a benchmark and return its current state; it ends soon after."""
        return self._send("DELETE", f"/benchmark/{job_id}", Job)

    def follow(
        self,
        job_id: str,
        *,
        interval_s: float = 0.5,
        reconnect_s: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[Job]:
        """Poll the benchmark every ``interval_s`` seconds until it has ended.

        A failed connection is retried for ``reconnect_s`` seconds, since a network may drop and an agent may be
        restarted, after which it resumes its jobs. Then :class:`DeviceUnreachable` is raised.
        """
        lost_since: float | None = None
        while True:
            try:
                job = self.job(job_id)
            except DeviceUnreachable:
                now = clock()
                lost_since = now if lost_since is None else lost_since
                if now - lost_since >= reconnect_s:
                    raise
            else:
                lost_since = None
                yield job
                if job.state in FINAL_STATES:
                    return
            sleep(interval_s)

    def events(self, job_id: str, last_id: str | None = None) -> Iterator[ServerSentEvent]:
        """Stream the events of a benchmark after the event ``last_id``, until the agent closes the stream.

        See :func:`gdws.device.live_job.watch`, which turns them into jobs.
        """
        path = f"/benchmark/{job_id}/events"
        headers = {"accept": EVENT_STREAM, **({} if last_id is None else {"last-event-id": last_id})}
        with self._faults_named("GET", path), self._http.stream("GET", path, headers=headers) as response:
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
                raise self._no_agent(f"GET {path}: the response is not a stream of events")
            yield from EventSource(response).iter_sse()

    def _get(self, path: str, kind: type[_Answer], **params: str) -> _Answer:
        return self._send("GET", path, kind, params=params)

    def _pages(self, path: str, kind: type[_Page], **params: str) -> Iterator[_Page]:
        page = self._get(path, kind, **params)
        yield page
        while page.next_cursor is not None:
            page = self._get(path, kind, **params, cursor=page.next_cursor)
            yield page

    def _send(self, method: str, path: str, kind: type[_Answer], **options: Any) -> _Answer:
        """Send a request and read the answer as ``kind``."""
        response = self._request(method, path, **options)
        try:
            return kind.model_validate(response.json())
        except ValidationError as error:
            field, message = first_fault(error)
            raise self._no_agent(f"{method} {path}: {field or 'the response'}: {message}") from error
        except (ValueError, RecursionError) as error:
            raise self._no_agent(f"{method} {path}: the response is not JSON ({_excerpt(response)})") from error

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._faults_named(method, path):
            response = self._http.request(method, path, **options)
        if response.is_success:
            return response
        raise self._refusal(response)

    @contextmanager
    def _faults_named(self, method: str, path: str) -> Iterator[None]:
        """Convert errors of the HTTP client into those of this module."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise DeviceUnreachable(
                f"{self.url} did not answer in time ({method} {path})",
                url=self.url,
                hint="check that the machine is on and the address is correct",
            ) from error
        except (httpx.DecodingError, httpx.TooManyRedirects) as error:
            raise self._no_agent(f"{method} {path}: {error}") from error
        except (httpx.InvalidURL, UnicodeError) as error:  # for invalid host names
            raise DeviceUnreachable(
                f"{self.url} cannot be reached: {error}", url=self.url, hint=_ADDRESS_HINT
            ) from error
        except httpx.TransportError as error:
            if isinstance(error, httpx.RemoteProtocolError) and not _is_disconnect(error):
                raise self._no_agent(f"{method} {path}: {error}") from error
            raise DeviceUnreachable(
                f"{self.url} cannot be reached: {error or type(error).__name__}",
                url=self.url,
                hint="start the agent there: gdws-agent --host 0.0.0.0 --port 8000",
            ) from error

    def _refusal(self, response: httpx.Response) -> DeviceRefused | DeviceProtocolError:
        """The error for a response with a status other than 2xx."""
        try:
            problem = Problem.model_validate(response.json())
        except (ValueError, RecursionError):
            return self._no_agent(f"the response is HTTP {response.status_code} ({_excerpt(response)})")
        message = problem.title if problem.detail is None else problem.detail
        if problem.field is not None and problem.field not in message:
            message = f"{problem.field}: {message}"
        return DeviceRefused(message, url=self.url, status=response.status_code, hint=problem.hint)

    def _no_agent(self, message: str) -> DeviceProtocolError:
        return DeviceProtocolError(
            f"{self.url} is not a gdws agent, or one of another release: {message}",
            url=self.url,
            hint="open /healthz at that address: an agent responds with its version",
        )


def _blocks(path: Path, progress: Callable[[int], None] | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
            if progress is not None:
                progress(len(block))


def address_of(url: str) -> str:
    """``url`` with a scheme and without a slash at the end. Raises :class:`DeviceUnreachable` if it is no address."""
    text = url.strip()
    text = text if "://" in text else f"http://{text}"
    try:
        parsed = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise DeviceUnreachable(f"{url!r} is not a valid address: {error}", url=url, hint=_ADDRESS_HINT) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise DeviceUnreachable(f"{url!r} is not the address of an agent", url=url, hint=_ADDRESS_HINT)
    return text.rstrip("/")


def _authorization(token: str | None, url: str) -> dict[str, str]:
    """The header with ``token``. Raises :class:`DeviceError` if it contains invalid characters."""
    if token is None or not token.strip():
        return {}
    text = token.strip()
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise DeviceError("the access token contains invalid characters", url=url, hint=TOKEN_HINT)
    return {"authorization": f"Bearer {text}"}


TOKEN_HINT = "set GDWS_TOKEN to the token that the agent printed at its first start"
_ADDRESS_HINT = "use local, or an address such as http://jetson.local:8000"


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_disconnect(error: httpx.RemoteProtocolError) -> bool:
    """Whether the server disconnected, rather than speaking another protocol."""
    return "disconnected" in str(error) or "peer closed" in str(error)


def _excerpt(response: httpx.Response) -> str:
    """The beginning of a response, quoted so that no control characters reach the terminal."""
    kind = response.headers.get("content-type", "no content type")
    return f"{kind}: {json.dumps(response.text[:80])}"
